"""Makes the bundled bank again, from fetched packages: `python -m dose.sources.ship PACKS`.

PACKS holds the unpacked packages sonic-pi-samples, hydrogen-drumkits and fluid-soundfont-gm (from
`dose sources fetch`) and rushdaw (the wheel from the Python registry, unzipped). Only what may be passed on
with a notice is taken; every file is cleaned as any clip is, and written with its licence to samples.csv.
"""

import argparse
import csv
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dose import audio, files
from dose.errors import DoseError, MissingInputError
from dose.sources import shipped, splits
from dose.sources.adapters import hydrogen, sonicpi, soundfont
from dose.sources.cleaning import Cleaned, Reject, clean, read
from dose.sources.duplicates import clusters
from dose.sources.item import SourceItem
from dose.sources.library import quantise, sound_id
from dose.sources.packages import version_of

LOOP_SECONDS = 4.0
LOOP_BITS = 11  # loops stand behind the drums; what is dropped lies 60 dB below, and halves the files
DUPLICATE = 0.97  # aligned correlation
LEFT_OUT = {"bass_voxy_c", "bass_trance_c", "bass_hit_c", "guit_em9"}  # for size; their kit has others
VARIANTS = {"chh": "closed", "ohh": "open"}
DEMOS = ("loop_breakbeat", "loop_compus", "loop_garzul", "loop_industrial", "loop_mika", "loop_safari")
# programs that are rendered, with how many riffs of each; every split needs some of every class
RIFFS = {
    "bass": {33: 2, 36: 1, 38: 1, 34: 1},
    "piano": {0: 2, 4: 1, 5: 1, 3: 1, 2: 1},
    "guitar": {24: 1, 27: 1, 29: 1, 30: 1, 28: 1},
    "vocal": {52: 3, 91: 1, 54: 1, 53: 1},
}
NOTICES = {
    "CC0-1.0": "These sounds were put into the public domain under CC0 1.0 "
    "(https://creativecommons.org/publicdomain/zero/1.0/). No notice is needed; thanks go to their authors.",
    "CC-BY-3.0": "These sounds are used under Creative Commons Attribution 3.0 Unported "
    "(https://creativecommons.org/licenses/by/3.0/).",
    "CC-BY-4.0": "These sounds are used under Creative Commons Attribution 4.0 International "
    "(https://creativecommons.org/licenses/by/4.0/).",
    "MIT": "These sounds were rendered from Fluid (R3) by Frank Wen, released under the MIT licence, whose "
    "text follows below.",
}
CHANGES = (
    "Changes made here: silence in front cut, mixed to mono, brought to 44.1 kHz, cropped (one-shots to 1 s, "
    "loops to 4 s) with a fade, peak-normalised, stored as FLAC (one-shots 16 bit, loops 11 bit)."
)


def takes(packs: Path) -> Iterator[SourceItem]:
    """Everything that is bundled, in the order of samples.csv."""
    sonic = _pack(packs, "sonic-pi-samples")
    for take in sonicpi.takes(sonic, "sonic-pi-samples", version_of(sonic)):
        if take.name not in LEFT_OUT:
            credit = f"{take.name} by {take.author}, from Sonic Pi (CC0)"
            yield dataclasses.replace(take, attribution=credit)
    kits = _pack(packs, "hydrogen-drumkits")
    for take in hydrogen.takes(kits, "hydrogen-drumkits", version_of(kits)):
        if take.group == "rumpf":
            yield dataclasses.replace(take, attribution="rumpf_kit_z01 by Emanuel Rumpf (CC BY 3.0)")
    yield from _muldjord(_pack(packs, "rushdaw"))
    fluid = _pack(packs, "fluid-soundfont-gm")
    yield from _fluid(next(fluid.rglob("FluidR3_GM.sf2")), version_of(fluid))


def _pack(packs: Path, name: str) -> Path:
    if not (packs / name).is_dir():
        raise MissingInputError(f"{packs / name} is missing; fetch and unpack the package {name} there.")
    return packs / name


def _muldjord(root: Path) -> Iterator[SourceItem]:
    version = next(root.glob("rushdaw-*.dist-info")).name.removeprefix("rushdaw-").removesuffix(".dist-info")
    classes = {"kick": "kick", "snare": "snare", "chh": "hihat", "ohh": "hihat"}
    for path in sorted(root.rglob("samples/drums/*.mp3")):
        part = path.stem.split("-")[0]
        if part in classes:
            yield SourceItem(
                name=f"muldjordkit-{path.stem}",
                cls=classes[part],
                variant=VARIANTS.get(part, ""),
                load=lambda p=path: read(p, "oneshot"),  # type: ignore[misc]
                source="bundled",
                group="muldjordkit",
                package="rushdaw",
                version=version,
                kit="MuldjordKit",
                author="Lars Muldjord",
                licence="CC-BY-4.0",
                attribution="MuldjordKit by Lars Muldjord, FreePats edition by Roberto (CC BY 4.0)",
                origin=f"rushdaw: {path.name}",
            )


def _fluid(path: Path, version: str) -> Iterator[SourceItem]:
    common: dict[str, Any] = {
        "package": "fluid-soundfont-gm",
        "version": version,
        "author": "Frank Wen",
        "licence": "MIT",
        "attribution": "Fluid (R3) by Frank Wen (MIT)",
    }
    font = soundfont.Font(path)
    yield from soundfont.drum_takes(font, group="fluid-drums", source="bundled", **common)
    for cls, programs in RIFFS.items():
        for program, count in programs.items():
            yield from soundfont.riff_takes(
                font, cls, program, count, seconds=LOOP_SECONDS, source="bundled", **common
            )


def make(packs: Path, library: Path, demo: Path) -> list[dict[str, str]]:
    """Writes the two folders anew, each whole or not at all; the rows of samples.csv.

    Raises MissingInputError when a package is not below `packs`.
    """
    with files.atomic(library) as folder:
        folder.mkdir()
        rows = _write(packs, folder)
        with open(folder / "samples.csv", "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, shipped.COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        for licence in sorted({r["licence"] for r in rows}):
            text = _notice(licence, [r for r in rows if r["licence"] == licence], packs)
            (folder / f"NOTICE-{licence}.md").write_text(text, encoding="utf-8")
    with files.atomic(demo) as folder:
        folder.mkdir()
        _demo(packs, folder)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the bundled bank from fetched packages.")
    parser.add_argument("packs", type=Path, help="folder of unpacked packages")
    try:
        rows = make(parser.parse_args().packs, shipped.BANK, shipped.DEMO)
    except DoseError as e:
        sys.exit(f"dose.sources.ship: {e}")
    size = sum(p.stat().st_size for p in shipped.BANK.iterdir())
    print(f"{len(rows)} clips, {size / 1e6:.2f} MB in {shipped.BANK}")


def _write(packs: Path, folder: Path) -> list[dict[str, str]]:
    """Cleans and writes every take that repeats no earlier one; the rows of samples.csv."""
    kept: list[tuple[SourceItem, Cleaned, np.ndarray]] = []
    for take in takes(packs):
        try:
            cleaned = clean(take.load(), take.kind, take.name, LOOP_SECONDS)
        except Reject as e:
            print(f"left out: {e}")
            continue
        samples = quantise(cleaned.sound) if take.kind == "oneshot" else _coarse(cleaned.sound)
        kept.append((take, cleaned, samples))
    leaders = clusters([samples for _, _, samples in kept], DUPLICATE)
    return [_row(*k, folder) for i, k in enumerate(kept) if leaders[i] == i]


def _coarse(sound: np.ndarray) -> np.ndarray:
    """LOOP_BITS bits with zeros below them, which FLAC does not store."""
    step = 1 << (16 - LOOP_BITS)
    return (np.clip(np.rint(sound * 32768 / step), -(32768 // step), 32768 // step - 1) * step).astype(
        np.int16
    )


def _row(take: SourceItem, cleaned: Cleaned, samples: np.ndarray, folder: Path) -> dict[str, str]:
    file = f"{_slug(take)}.flac"
    audio.write(folder / file, samples)
    values = {
        **dataclasses.asdict(take),
        "file": file,
        "id": sound_id(samples),
        "split": take.split or splits.of_group(take.group),
        "seconds": f"{len(samples) / audio.RATE:.6f}",
        "lead_in_ms": cleaned.lead_in_ms,
        "peak_db": cleaned.peak_db,
    }
    return {k: str(values[k]) for k in shipped.COLUMNS}


def _slug(take: SourceItem) -> str:
    """Such as kick-sonic-pi-bd_808."""
    text = f"{take.cls}-{take.kit}-{take.name.removeprefix(take.kit)}".lower()
    return "-".join("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def _notice(licence: str, rows: list[dict[str, str]], packs: Path) -> str:
    credits = sorted({r["attribution"] for r in rows})
    lines = [
        f"# {licence}",
        "",
        NOTICES[licence],
        "",
        CHANGES,
        "",
        "## Credits",
        "",
        *(f"- {c}" for c in credits),
    ]
    if licence == "MIT":
        text = next(_pack(packs, "fluid-soundfont-gm").rglob("doc/*/copyright")).read_text(encoding="utf-8")
        lines += ["", "## The licence's text", "", *(f"> {line}".rstrip() for line in text.splitlines())]
    return "\n".join(lines) + "\n"


def _demo(packs: Path, folder: Path) -> None:
    """Whole loops, mono, otherwise as they are."""
    root = _pack(packs, "sonic-pi-samples")
    authors = sonicpi.cc0(root)
    lines = [
        "# Recorded loops",
        "",
        NOTICES["CC0-1.0"],
        "",
        "Mixed to mono; otherwise as Sonic Pi ships them.",
        "",
    ]
    for name in DEMOS:
        path = next(root.rglob(f"samples/{name}.flac"))
        author = authors[path.name]
        audio.write(folder / path.name, quantise(audio.read(path)))
        lines.append(f"- {path.name}: {author} (CC0 1.0)")
    (folder / "NOTICE.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
