"""Kits out of real recordings, where no truth is known: does the class check hear each drum as itself?

A recording passes when its kick, snare and hi-hat, the best try of each, all do. Not every recording has all
three: "complete" are those in which the extraction itself says so (a drum in brackets is said to be missing;
`dose extract` would not write it). The demo loops of the package are always among the recordings; sound
files, folders and globs may be added. With `--page` all can be heard.
"""

import argparse
import glob
from pathlib import Path
from typing import Any

SUFFIXES = (".flac", ".wav", ".ogg", ".mp3", ".aiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recordings", nargs="*", metavar="SOUND", help="sound files, folders or globs")
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--sources", type=Path, default=Path("data/sources"), help="for the class check")
    parser.add_argument("--page", type=Path, metavar="HTML", help="write a listening page there")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Recordings, how many are complete, how many of all and of these pass, and the share of each drum."""
    import numpy as np

    from dose.drums import DRUMS
    from dose.evaluate.page.kits import KitPage
    from dose.evaluate.reference_free import drum_classifier
    from dose.extract import Extractor
    from dose.metrics.one_shots import prepare
    from dose.sources.library import SampleLibrary

    extractor, judge = Extractor.load(args.bundle), drum_classifier(SampleLibrary.load(args.sources))
    page, heard, complete = KitPage(), {}, set()
    for path in found(args.recordings):
        kit = extractor.extract_file(path)
        right = {}
        for drum in DRUMS:
            best = kit.best(drum)
            shot = None if best is None else prepare(best.raw)[None]
            right[drum] = shot is not None and bool(judge.metrics(shot, drum)["classifier_accuracy"][0])
        said = {drum: "heard as one" if yes else "heard as another drum" for drum, yes in right.items()}
        page.add(path, kit, said)
        heard[path.stem] = right
        if all(kit.present(drum) for drum in DRUMS):
            complete.add(path.stem)
        told = "  ".join(_told(drum, right[drum], kit.present(drum)) for drum in DRUMS)
        print(f"{path.stem:28s} {kit.seconds:6.1f} s  {told}", flush=True)
    if args.page:
        page.write(args.page)
    return {
        "version": extractor.bundle.version,
        "recordings": len(heard),
        "complete": len(complete),
        "all_three_pass": sum(all(right.values()) for right in heard.values()),
        "complete_pass": sum(all(heard[name].values()) for name in complete),
        **{drum: float(np.mean([right[drum] for right in heard.values()])) for drum in DRUMS},
    }


def _told(drum: str, right: bool, there: bool) -> str:
    said = f"{drum} {'yes' if right else 'no'}"
    return f"{said if there else f'({said})':11s}"


def found(names: list[str]) -> list[Path]:
    """The demo loops and what `names` mean, each stem once."""
    from dose.sources.shipped import demo_recordings

    paths = list(demo_recordings())
    for name in names:
        for match in sorted(glob.glob(name)) or [name]:
            path = Path(match)
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            paths += inside if path.is_dir() else [path]
    return list({path.stem: path for path in reversed(paths)}.values())[::-1]
