"""Calibration of the confidence on RMOD's test mixes, as they are and with each drum subtracted.

Neither training nor calibration uses these mixes. dose.extract.calibration_data defines a correct candidate.
"""

import argparse
from pathlib import Path
from typing import Any

TITLES = {"detected": "drum in the mix", "confidence": "drum in the mix and candidate correct"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--mixes", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--start", type=int, default=0, help="first mix (default: %(default)s)")
    parser.add_argument(
        "--plot", "--picture", type=Path, metavar="PNG",  # the second is its old name
        help="plot the reliability curves there (formerly --picture)",
    )  # fmt: skip
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--sources", type=Path, default=Path("data/sources"))


def run(args: argparse.Namespace) -> dict[str, Any]:
    """drum -> expected calibration errors, AUC, and detection rates with and without the drum."""
    from tqdm import tqdm

    from dose import config
    from dose.extract import Extractor
    from dose.extract.calibrate import examine
    from dose.extract.calibration_data import rmod_examples
    from dose.rmod.config import RmodConfig
    from dose.sources.library import SampleLibrary

    extractor = Extractor(args.bundle)
    ranges, library = config.load("rmod", RmodConfig, args.params), SampleLibrary.load(args.sources)
    examples = list(rmod_examples(ranges, library, args.mixes, args.start, split="test"))
    with tqdm(total=args.mixes, desc="calibration", unit="mix", disable=None) as bar:
        reports = examine(
            extractor, examples, drums=extractor.drums, progress=lambda done: bar.update(done - bar.n)
        )
    heads = ("ECE detect", "ECE correct", "AUC detect", "AUC correct", "rate: with", "without")
    print(" " * 8 + "".join(f"{head:>12s}" for head in heads))
    figures = {}
    for drum, report in reports.items():
        figures[drum] = {
            "ece_detected": report["detected"]["ece"],
            "ece_confidence": report["confidence"]["ece"],
            "auc_detected": report["detected"]["auc"],
            "auc_confidence": report["confidence"]["auc"],
            "detection_rate_with": report["detection_rate"]["with"],
            "detection_rate_without": report["detection_rate"]["without"],
        }
        print(f"{drum:8s}" + "".join(f"{value:12.3f}" for value in figures[drum].values()))
    if args.plot:
        plot(reports, args.plot, f"{extractor.bundle.version}, {args.mixes} mixes of RMOD's test split")
    return figures


def plot(reports: dict[str, Any], path: Path, title: str) -> None:
    """Reliability diagram, one panel per drum; the dots are sized by the count of their bin."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from dose.files import atomic

    figure, panels = pyplot.subplots(1, len(reports), figsize=(4 * len(reports), 4.8), squeeze=False)
    for panel, (drum, report) in zip(panels[0], reports.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
        for kind, colour in (("detected", "#2f6fde"), ("confidence", "#e0532f")):
            rows = report[kind]["reliability"]
            x, y = [r["predicted"] for r in rows], [r["observed"] for r in rows]
            top = max(r["count"] for r in rows)
            panel.plot(
                x, y, color=colour, linewidth=1.5, label=f"{TITLES[kind]} (ECE {report[kind]['ece']:.2f})"
            )
            panel.scatter(x, y, s=[10 + 90 * r["count"] / top for r in rows], color=colour, zorder=3)
        panel.set(title=drum, xlim=(0, 1), ylim=(0, 1), xlabel="predicted probability")
        panel.legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16)
        )  # below the axes: curves may lie anywhere
        panel.set_aspect("equal")
    panels[0][0].set_ylabel("observed frequency")
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as beside:
        figure.savefig(beside, dpi=110, format="png", bbox_inches="tight")
    pyplot.close(figure)
