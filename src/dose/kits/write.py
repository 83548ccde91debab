"""Export of a kit to any of the formats."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dose.errors import DoseError
from dose.kits import ableton, decentsampler, groove, hydrogen, mpc, sfz, soundfont
from dose.kits.drumkit import DrumKit, safe_name
from dose.kits.folder import put

# Format -> suffix of its file. All but Hydrogen and SoundFont refer to the WAVs beside them.
FORMATS = {
    "wav": "",
    "sfz": ".sfz",
    "hydrogen": ".h2drumkit",
    "decentsampler": ".dspreset",
    "ableton": ".adg",
    "sf2": ".sf2",
    "mpc": ".xpm",
}


def parse_formats(text: str) -> tuple[str, ...]:
    """ "sfz,sf2" or "all" as format names, in the order of FORMATS; DoseError for an unknown one."""
    wanted = {part.strip().lower() for part in text.split(",") if part.strip()}
    if unknown := sorted(wanted - FORMATS.keys() - {"all"}):
        raise DoseError(f"There is no kit format '{unknown[0]}'; choose from {', '.join(FORMATS)} or all.")
    return tuple(name for name in FORMATS if name in wanted or "all" in wanted)


def contents(kit: DrumKit, formats: Sequence[str], *, midi: bool = False) -> dict[str, bytes]:
    """File name -> bytes of the kit in all `formats`, to be put into one folder or archive.

    Kits for samplers have the groove beside them (`dose.kits.groove`), those of WAVs alone only with `midi`.
    """
    name = safe_name(kit.name)
    files: dict[str, bytes] = {f"{sound.name}.wav": sound.wav for sound in kit.sounds}
    for format in formats:
        suffix = FORMATS[format]
        if format == "sfz":
            files[name + suffix] = sfz.text(kit).encode()
        elif format == "hydrogen":
            files[name + suffix] = hydrogen.archive(kit)
        elif format == "decentsampler":
            files[name + suffix] = decentsampler.preset(kit)
        elif format == "ableton":
            files[name + suffix] = ableton.rack(kit)
        elif format == "sf2":
            files[name + suffix] = soundfont.soundfont(kit)
        elif format == "mpc":
            files[name + suffix] = mpc.program(kit)
    if midi or set(formats) - {"wav"}:
        files |= groove.contents(kit, formats)
    return files


def left_out(kit: DrumKit, formats: Sequence[str]) -> list[str]:
    """One sentence for each limit of `formats` that the kit exceeds; the WAVs always hold all of it."""
    limits = []
    # Limits on the number of sounds per pad, then on the sample format.
    for pad in kit.pads:
        count = len(pad.sounds)
        for format, title, capacity in (
            ("ableton", "An Ableton rack", ableton.capacity(pad)),
            ("mpc", "An MPC program", mpc.MAX_LAYERS),
            ("hydrogen", "Hydrogen", hydrogen.MAX_LAYERS),
        ):
            if format in formats and count > capacity:
                limits.append(
                    f"{title} holds {capacity} of the {count} {pad.drum} sounds; all are there as WAVs."
                )
    if "sf2" in formats and kit.bits > 16:
        limits.append(f"A SoundFont holds 16 bits; the WAVs have {kit.bits}.")
    if "sf2" in formats and any(sound.audio.ndim == 2 and len(sound.audio) > 1 for sound in kit.sounds):
        limits.append("A SoundFont of this kind is mono; the WAVs are stereo.")
    return limits


def write(
    kit: DrumKit,
    folder: Path | str,
    formats: Sequence[str] = ("wav",),
    *,
    inputs: Iterable[Path] = (),
    midi: bool = False,
) -> list[Path]:
    """Writes the files of `contents` into `folder`, replacing a kit that is there.

    Raises Occupied, as `dose.kits.folder.put` does, where that would overwrite other files or `inputs`.
    """
    return put(folder, contents(kit, formats, midi=midi), inputs)
