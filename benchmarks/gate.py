"""The promotion gate on simulated scores: false promotions and power, by improvement and number of items."""

import argparse
import csv
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from dose.registry.gate_config import GateConfig
    from dose.registry.simulate import PromotionRate

IMPROVEMENTS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08)
SIZES = (100, 250, 500, 1000, 1500)
PAIR = ("dose", "dose-without-onset-loss")  # systems: two models trained on the same data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nulls", type=int, default=1000, help="kits of equal challengers (default: 1000)")
    parser.add_argument("--trials", type=int, default=100, help="kits per point of the curves (default: 100)")
    parser.add_argument(
        "--items",
        type=Path,
        default=Path("data/evaluate/items/rmod"),
        help="per-item scores to fit the noise to; without them it is assumed",
    )
    parser.add_argument(
        "--plot", "--picture", type=Path,  # the second is its old name
        help="write both curves to this PNG or SVG file (formerly --picture)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    from dose import config
    from dose.registry.gate_config import GateConfig
    from dose.registry.simulate import ScoreNoise, promotion_rate

    gate = config.parse(GateConfig, config.read_section("retrain")["gate"], f"{config.PARAMS}: retrain.gate")
    found = pairs(args.items)
    noise = ScoreNoise.fit(found, str(args.items)) if found else ScoreNoise()
    print(f"noise ({noise.source}): sd of log MSS {noise.item_sd:.2f} by item, {noise.seed_sd:.2f} by seed")
    print(f"{'improvement':>12} {'items':>6} {'kits':>5} {'any drum':>9} {'per drum':>9}")
    # False promotions: challengers that equal the champion.
    null = _printed(promotion_rate(gate, noise, 0.0, args.nulls))
    # Power at the configured number of items.
    by_improvement = [_printed(promotion_rate(gate, noise, x, args.trials, 10_000)) for x in IMPROVEMENTS]
    # Both against the number of items. Other seeds than above, so that the curves are independent.
    by_size = [
        _printed(promotion_rate(dataclasses.replace(gate, items=n), noise, x, args.trials, 20_000))
        for x in (0.0, 0.05)
        for n in SIZES
    ]
    if args.plot:
        plot(args.plot, by_improvement, by_size, gate)
    power = next(r.per_drum for r in by_improvement if r.improvement == 0.05)
    return {
        "items": gate.items,
        "noise": dataclasses.asdict(noise),
        "null_promotions": null.any_drum,
        "power_at_5_percent": power,
        "curves": [dataclasses.asdict(r) for r in (null, *by_improvement, *by_size)],
    }


def pairs(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """MSS per item of both systems in PAIR, for each drum that has both."""
    out = []
    for path in sorted(folder.glob(f"*-{PAIR[0]}.csv")):
        drum = path.name.partition("-")[0]
        other = folder / f"{drum}-{PAIR[1]}.csv"
        if other.is_file():
            a, b = _mss(path), _mss(other)
            # Only items that both systems have.
            both = sorted(a.keys() & b.keys())
            out.append((np.array([a[i] for i in both]), np.array([b[i] for i in both])))
    return out


def _mss(path: Path) -> dict[str, float]:
    with path.open(newline="") as f:
        return {row["index"]: float(row["mss"]) for row in csv.DictReader(f) if row["mss"]}


def _printed(r: "PromotionRate") -> "PromotionRate":
    print(f"{r.improvement:12.0%} {r.items:6d} {r.trials:5d} {r.any_drum:9.3f} {r.per_drum:9.3f}", flush=True)
    return r


def plot(
    path: Path, by_improvement: "list[PromotionRate]", by_size: "list[PromotionRate]", gate: "GateConfig"
) -> None:
    """Power against the true improvement, and both kinds of rate against the number of items."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot([100 * r.improvement for r in by_improvement], [r.per_drum for r in by_improvement], "o-")
    left.set(xlabel="true improvement of MSS, %", ylabel="share of drums promoted", ylim=(-0.03, 1.03))
    left.set_title(f"{gate.items} items")
    for improvement, label in ((0.05, "5 % better: drums promoted"), (0.0, "equal: kits with any promotion")):
        rows = [r for r in by_size if r.improvement == improvement]
        share = [r.per_drum if improvement else r.any_drum for r in rows]
        right.plot([r.items for r in rows], share, "o-", label=label)
    right.axhline(0.8, color="grey", linewidth=0.7)
    right.axhline(gate.alpha, color="grey", linewidth=0.7)
    right.set(xlabel="held-out items", ylim=(-0.03, 1.03))
    right.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
