"""Makes the shipped clips again, from fetched packages: `python -m dose.sources.build_shipped ARCHIVES`.

ARCHIVES holds the unpacked packages sonic-pi-samples, hydrogen-drumkits and fluid-soundfont-gm (from
`dose sources fetch`) and rushdaw (the wheel from the Python registry, unzipped). Only sounds whose licence
allows passing them on with a notice are used; every file is cleaned as any clip is, and written with its
licence to samples.csv.
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
from dose.sources.licence_notices import demo_notice, notice
from dose.sources.packages import version_of

LOOP_SECONDS = 4.0
# Loops are background to the drums: the dropped bits lie 60 dB below full scale; the files are half as big.
LOOP_BITS = 11
DUPLICATE = 0.97  # aligned correlation, as params.yaml: sources.duplicate_correlation
# Left out for size; their kit has others of the class.
LEFT_OUT = {"bass_voxy_c", "bass_trance_c", "bass_hit_c", "guit_em9"}
VARIANTS = {"chh": "closed", "ohh": "open"}
DEMOS = ("loop_breakbeat", "loop_compus", "loop_garzul", "loop_industrial", "loop_mika", "loop_safari")
# GM programs that are rendered, with the number of riffs of each. Chosen by hand so that every split has some
# of every class (splits.PROGRAMS).
RIFFS = {
    "bass": {33: 2, 36: 1, 38: 1, 34: 1},
    "piano": {0: 2, 4: 1, 5: 1, 3: 1, 2: 1},
    "guitar": {24: 1, 27: 1, 29: 1, 30: 1, 28: 1},
    "vocal": {52: 3, 91: 1, 54: 1, 53: 1},
}


def source_items(archives: Path) -> Iterator[SourceItem]:
    """Everything that is shipped, in the order of samples.csv."""
    sonic_pi = _archive(archives, "sonic-pi-samples")
    for item in sonicpi.source_items(sonic_pi, "sonic-pi-samples", version_of(sonic_pi)):
        if item.name not in LEFT_OUT:
            credit = f"{item.name} by {item.author}, from Sonic Pi (CC0)"
            yield dataclasses.replace(item, attribution=credit)
    kits = _archive(archives, "hydrogen-drumkits")
    for item in hydrogen.source_items(kits, "hydrogen-drumkits", version_of(kits)):
        if item.group == "rumpf":
            yield dataclasses.replace(item, attribution="rumpf_kit_z01 by Emanuel Rumpf (CC BY 3.0)")
    yield from _muldjord(_archive(archives, "rushdaw"))
    fluid = _archive(archives, "fluid-soundfont-gm")
    yield from _fluid(next(fluid.rglob("FluidR3_GM.sf2")), version_of(fluid))


def _archive(archives: Path, name: str) -> Path:
    if not (archives / name).is_dir():
        raise MissingInputError(f"{archives / name} is missing; fetch and unpack the package {name} there.")
    return archives / name


def _muldjord(root: Path) -> Iterator[SourceItem]:
    version = next(root.glob("rushdaw-*.dist-info")).name.removeprefix("rushdaw-").removesuffix(".dist-info")
    classes = {"kick": "kick", "snare": "snare", "chh": "hihat", "ohh": "hihat"}
    for path in sorted(root.rglob("samples/drums/*.mp3")):
        piece = path.stem.split("-")[0]
        if piece in classes:
            yield SourceItem(
                name=f"muldjordkit-{path.stem}",
                cls=classes[piece],
                variant=VARIANTS.get(piece, ""),
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
    yield from soundfont.drum_items(font, group="fluid-drums", source="bundled", **common)
    for cls, programs in RIFFS.items():
        for program, count in programs.items():
            yield from soundfont.riff_items(
                font, cls, program, count, seconds=LOOP_SECONDS, source="bundled", **common
            )


def make(archives: Path, samples: Path, demo: Path) -> list[dict[str, str]]:
    """Writes the two folders anew, each whole or not at all, and returns the rows of samples.csv.

    Raises MissingInputError when a package is not below `archives`.
    """
    with files.atomic(samples) as folder:
        folder.mkdir()
        rows = _write_samples(archives, folder)
        with open(folder / "samples.csv", "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, shipped.COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        for licence in sorted({r["licence"] for r in rows}):
            own = [r for r in rows if r["licence"] == licence]
            text = notice(licence, own, _mit_text(archives) if licence == "MIT" else None)
            (folder / f"NOTICE-{licence}.md").write_text(text, encoding="utf-8")
    with files.atomic(demo) as folder:
        folder.mkdir()
        _write_demo(archives, folder)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the shipped clips from fetched packages.")
    parser.add_argument("archives", type=Path, help="folder of unpacked packages")
    try:
        rows = make(parser.parse_args().archives, shipped.SAMPLES, shipped.DEMO)
    except DoseError as e:
        sys.exit(f"dose.sources.build_shipped: {e}")
    size = sum(p.stat().st_size for p in shipped.SAMPLES.iterdir())
    print(f"{len(rows)} clips, {size / 1e6:.2f} MB in {shipped.SAMPLES}")


def _mit_text(archives: Path) -> str:
    copyright_file = next(_archive(archives, "fluid-soundfont-gm").rglob("doc/*/copyright"))
    return copyright_file.read_text(encoding="utf-8")


def _write_samples(archives: Path, folder: Path) -> list[dict[str, str]]:
    """Cleans and writes every item that repeats no earlier one, and returns the rows of samples.csv."""
    accepted: list[tuple[SourceItem, Cleaned, np.ndarray]] = []
    for item in source_items(archives):
        try:
            cleaned = clean(item.load(), item.kind, item.name, LOOP_SECONDS)
        except Reject as e:
            print(f"left out: {e}")
            continue
        samples = quantise(cleaned.sound) if item.kind == "oneshot" else _coarse(cleaned.sound)
        accepted.append((item, cleaned, samples))
    # The shipped clips hold no near-duplicates at all, unlike a library, where they share a split.
    leaders = clusters([samples for _, _, samples in accepted], DUPLICATE)
    return [_row(*sound, folder) for i, sound in enumerate(accepted) if leaders[i] == i]


def _coarse(sound: np.ndarray) -> np.ndarray:
    """LOOP_BITS bits with zeros below them, which FLAC does not store."""
    step = 1 << (16 - LOOP_BITS)
    return (np.clip(np.rint(sound * 32768 / step), -(32768 // step), 32768 // step - 1) * step).astype(
        np.int16
    )


def _row(item: SourceItem, cleaned: Cleaned, samples: np.ndarray, folder: Path) -> dict[str, str]:
    file = f"{_slug(item)}.flac"
    audio.write(folder / file, samples)
    values = {
        **dataclasses.asdict(item),
        "file": file,
        "id": sound_id(samples),
        "split": item.split or splits.of_group(item.group),
        "seconds": f"{len(samples) / audio.RATE:.6f}",
        "lead_in_ms": cleaned.lead_in_ms,
        "peak_db": cleaned.peak_db,
    }
    return {k: str(values[k]) for k in shipped.COLUMNS}


def _slug(item: SourceItem) -> str:
    """Such as kick-sonic-pi-bd_808."""
    text = f"{item.cls}-{item.kit}-{item.name.removeprefix(item.kit)}".lower()
    return "-".join("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def _write_demo(archives: Path, folder: Path) -> None:
    """Whole loops, mono, otherwise as they are."""
    root = _archive(archives, "sonic-pi-samples")
    authors = sonicpi.cc0(root)
    credits = []
    for name in DEMOS:
        path = next(root.rglob(f"samples/{name}.flac"))
        audio.write(folder / path.name, quantise(audio.read(path)))
        credits.append((path.name, authors[path.name]))
    (folder / "NOTICE.md").write_text(demo_notice(credits), encoding="utf-8")


if __name__ == "__main__":
    main()
