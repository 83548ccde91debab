"""Kits of real recordings, which have no reference: is each one-shot classified as its own drum?

A recording passes when the first candidates of its kick, snare and hi-hat all do. Not every recording has all
three drums: "complete" are those in which all three are detected. A drum in brackets is not detected, and
`dose extract` would not write it. The package's demo loops are always included; sound files, folders and
globs may be added. `--page` writes a listening page.
"""

import argparse
import glob
from pathlib import Path
from typing import Any

SUFFIXES = (".flac", ".wav", ".ogg", ".mp3", ".aiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recordings", nargs="*", metavar="SOUND", help="sound files, folders or globs")
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument(
        "--sources",
        type=Path,
        default=Path("data/sources"),
        help="sample library that the drum classifier is fitted to",
    )
    parser.add_argument("--page", type=Path, metavar="HTML", help="write a listening page there")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Counts of recordings, complete ones, and those that pass; per drum the share of correct classes."""
    import numpy as np

    from dose.drums import DRUMS
    from dose.evaluate.page.kits import KitPage
    from dose.evaluate.reference_free import drum_classifier
    from dose.extract import Extractor
    from dose.metrics.one_shots import prepare
    from dose.sources.library import SampleLibrary

    extractor = Extractor(args.bundle)
    classifier = drum_classifier(SampleLibrary.load(args.sources))
    page, correct_of, complete = KitPage(), {}, set()
    for path in found(args.recordings):
        kit = extractor.extract_file(path)
        correct = {}
        for drum in DRUMS:
            best = kit.best(drum)
            shot = None if best is None else prepare(best.raw)[None]
            correct[drum] = shot is not None and bool(
                classifier.metrics(shot, drum)["classifier_accuracy"][0]
            )
        notes = {
            drum: "class correct" if yes else "classified as another drum" for drum, yes in correct.items()
        }
        page.add(path, kit, notes)
        correct_of[path.stem] = correct
        if all(kit.detected(drum) for drum in DRUMS):
            complete.add(path.stem)
        results = "  ".join(_cell(drum, correct[drum], kit.detected(drum)) for drum in DRUMS)
        print(f"{path.stem:28s} {kit.seconds:6.1f} s  {results}", flush=True)
    if args.page:
        page.write(args.page)
    return {
        "version": extractor.bundle.version,
        "recordings": len(correct_of),
        "complete": len(complete),
        "all_three_pass": sum(all(correct.values()) for correct in correct_of.values()),
        "complete_pass": sum(all(correct_of[name].values()) for name in complete),
        **{drum: float(np.mean([correct[drum] for correct in correct_of.values()])) for drum in DRUMS},
    }


def _cell(drum: str, correct: bool, detected: bool) -> str:
    text = f"{drum} {'yes' if correct else 'no'}"
    return f"{text if detected else f'({text})':11s}"


def found(names: list[str]) -> list[Path]:
    """The demo loops and the files that `names` stand for, each stem once."""
    from dose.sources.shipped import demo_recordings

    paths = list(demo_recordings())
    for name in names:
        for match in sorted(glob.glob(name)) or [name]:
            path = Path(match)
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            paths += inside if path.is_dir() else [path]
    return list({path.stem: path for path in reversed(paths)}.values())[::-1]
