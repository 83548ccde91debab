"""One door to every format."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dose.errors import DoseError
from dose.kits import ableton, decentsampler, hydrogen, mpc, sfz, soundfont
from dose.kits.drumkit import DrumKit, safe_name
from dose.kits.folder import put

# Each with the suffix of its file. All but Hydrogen and SoundFont need the WAVs beside them.
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


def contents(kit: DrumKit, formats: Sequence[str]) -> dict[str, bytes]:
    """File name -> bytes of the kit in all `formats`, to be put into one folder or archive."""
    name = safe_name(kit.name)
    made: dict[str, bytes] = {f"{sound.name}.wav": sound.wav for sound in kit.sounds}
    for chosen in formats:
        suffix = FORMATS[chosen]
        if chosen == "sfz":
            made[name + suffix] = sfz.text(kit).encode()
        elif chosen == "hydrogen":
            made[name + suffix] = hydrogen.archive(kit)
        elif chosen == "decentsampler":
            made[name + suffix] = decentsampler.preset(kit)
        elif chosen == "ableton":
            made[name + suffix] = ableton.rack(kit)
        elif chosen == "sf2":
            made[name + suffix] = soundfont.soundfont(kit)
        elif chosen == "mpc":
            made[name + suffix] = mpc.program(kit)
    return made


def left_out(kit: DrumKit, formats: Sequence[str]) -> list[str]:
    """What the formats asked for cannot hold of the kit, a sentence each; the WAVs always hold all of it."""
    said = []
    for pad in kit.pads:
        count = len(pad.sounds)
        for chosen, title, most in (
            ("ableton", "An Ableton rack", ableton.held(pad)),
            ("mpc", "An MPC program", mpc.LAYERS),
            ("hydrogen", "Hydrogen", hydrogen.LAYERS),
        ):
            if chosen in formats and count > most:
                said.append(f"{title} holds {most} of the {count} {pad.drum} sounds; all are there as WAVs.")
    if "sf2" in formats and kit.bits > 16:
        said.append(f"A SoundFont holds 16 bits; the WAVs have {kit.bits}.")
    if "sf2" in formats and any(sound.audio.ndim == 2 and len(sound.audio) > 1 for sound in kit.sounds):
        said.append("A SoundFont of this kind is mono; the WAVs are stereo.")
    return said


def write(
    kit: DrumKit,
    folder: Path | str,
    formats: Sequence[str] = ("wav",),
    *,
    inputs: Iterable[Path] = (),
) -> list[Path]:
    """Makes the kit the one that `folder` holds: its WAVs and one file per further format.

    Raises Occupied, as `dose.kits.folder.put` does, where that would overwrite what is no kit's or `inputs`.
    """
    return put(folder, contents(kit, formats), inputs)
