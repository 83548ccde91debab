"""Whether the ranking picks well: distance of the chosen, the mean and the best try to the truth.

Distance in dB over band levels of the first half second, gain removed (dose.extract.calibrate); on RMOD's
test mixes, so neither training nor calibration has seen them.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--mixes", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--candidates", type=int, default=4, help="asked for (default: %(default)s)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--sources", type=Path, default=Path("data/sources"))


def run(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """drum -> chosen, mean, best: mean distances in dB."""
    import numpy as np

    from dose import config
    from dose.extract import Extractor
    from dose.extract.calibration_data import distance, log_spectrogram
    from dose.rmod.config import RmodConfig
    from dose.rmod.dataset import stream
    from dose.sources.library import SampleLibrary

    extractor = Extractor.load(args.bundle)
    rmod = config.load("rmod", RmodConfig, args.params)
    rows: dict[str, list[list[float]]] = {drum: [] for drum in extractor.drums}
    for item in stream(rmod, SampleLibrary.load(args.sources), "test", 0, args.mixes):
        for drum in extractor.drums:
            tries = extractor.candidates(item.mix, drum, args.candidates)
            if tries:
                truth = log_spectrogram(item.shots[drum])
                far = [distance(log_spectrogram(one.shot), truth) for one in tries]
                rows[drum].append([far[0], float(np.mean(far)), min(far)])
    names = ("chosen", "mean", "best")
    figures = {
        drum: dict(zip(names, map(float, np.mean(kept, axis=0).round(3)), strict=True))
        for drum, kept in rows.items()
        if kept
    }
    print(f"{'dB':8s}" + "".join(f"{name:>9s}" for name in names))
    for drum, told in figures.items():
        print(f"{drum:8s}" + "".join(f"{told[name]:9.2f}" for name in names))
    return figures
