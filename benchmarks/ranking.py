"""Quality of the reranking: distance of the first-ranked, the mean and the best sample from the reference.

Distance in dB over mel levels of the first half second, gain removed (dose.extract.calibration_data), on
RMOD's test mixes, which neither training nor calibration uses.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--mixes", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--candidates", type=int, default=4, help="requested per drum (default: %(default)s)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--sources", type=Path, default=Path("data/sources"))


def run(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """drum -> mean distances in dB: of the first-ranked sample, of all samples, of the best one."""
    import numpy as np

    from dose import config
    from dose.extract import Extractor
    from dose.extract.calibration_data import distance, log_spectrogram
    from dose.rmod.config import RmodConfig
    from dose.rmod.dataset import stream
    from dose.sources.library import SampleLibrary

    extractor = Extractor(args.bundle)
    rmod = config.load("rmod", RmodConfig, args.params)
    distances: dict[str, list[list[float]]] = {drum: [] for drum in extractor.drums}
    for item in stream(rmod, SampleLibrary.load(args.sources), "test", 0, args.mixes):
        for drum in extractor.drums:
            candidates = extractor.candidates(item.mix, drum, args.candidates)
            if candidates:
                reference = log_spectrogram(item.shots[drum])
                errors = [distance(log_spectrogram(one.shot), reference) for one in candidates]
                distances[drum].append([errors[0], float(np.mean(errors)), min(errors)])
    names = ("first", "mean", "best")
    figures = {
        drum: dict(zip(names, map(float, np.mean(rows, axis=0).round(3)), strict=True))
        for drum, rows in distances.items()
        if rows
    }
    print(f"{'dB':8s}" + "".join(f"{name:>9s}" for name in names))
    for drum, row in figures.items():
        print(f"{drum:8s}" + "".join(f"{row[name]:9.2f}" for name in names))
    return figures
