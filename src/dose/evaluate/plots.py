"""Plots of the table: CSV for `dvc plots diff`, PNG of the main metrics."""

import csv
from pathlib import Path
from typing import Any

from dose import files
from dose.drums import DRUMS
from dose.evaluate.results import REFERENCE, Results
from dose.evaluate.table import TITLES, columns

BAR_CHARTS = ("mss", "mss_log", "lsd_db", "attack_ms", "fad_codec", "kad_codec")
BAR_GROUP = 0.8  # width of a drum's bars, of the distance between drums


def write(results: Results, folder: Path) -> None:
    """scores.csv (a line per system, drum and metric), sample_size.csv, and one PNG per metric."""
    lines = [
        [dataset, system, drum, metric, e.value, e.low, e.high, e.n]
        for dataset, systems in results.estimates.items()
        for system, drums in systems.items()
        for drum, estimates in drums.items()
        for metric, e in estimates.items()
    ]
    header = ["dataset", "system", "drum", "metric", "value", "low", "high", "n"]
    _write_csv(folder / "scores.csv", header, lines)
    curves = [list(line) for line in results.curves]
    header = ["dataset", "system", "drum", "metric", "items", "value"]
    _write_csv(folder / "sample_size.csv", header, curves)
    found = columns(results)
    for metric in BAR_CHARTS:
        if metric in found:
            _bar_chart(results, metric, found[metric].heading, folder / f"{metric}.png")


def _write_csv(path: Path, header: list[str], lines: list[list[Any]]) -> None:
    with files.atomic(path) as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(header)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in line] for line in lines)


def _bar_chart(results: Results, metric: str, heading: str, path: Path) -> None:
    """Systems as bars with their intervals, drums side by side, one panel per data set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results.estimates), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(results.estimates), squeeze=False, sharey=True)[0]
    for panel, (dataset, systems) in zip(panels, results.estimates.items(), strict=True):
        shown = [system for system in systems if system != REFERENCE]
        for k, system in enumerate(shown):
            # The k-th system's bar of each drum, centred as a group on the drum's tick.
            offset = BAR_GROUP * (k - (len(shown) - 1) / 2) / len(shown)
            by_drum = [systems[system].get(drum, {}).get(metric) for drum in DRUMS]
            bars = [(i + offset, e) for i, e in enumerate(by_drum) if e is not None]
            below = [max(0, e.value - e.low) for _, e in bars]
            above = [max(0, e.high - e.value) for _, e in bars]
            panel.bar(
                [x for x, _ in bars], [e.value for _, e in bars], BAR_GROUP / len(shown),
                yerr=[below, above], capsize=2, label=system,
            )  # fmt: skip
        panel.set_xticks(range(len(DRUMS)), DRUMS)
        panel.set_title(TITLES.get(dataset, dataset))
    panels[0].set_ylabel(heading)
    panels[-1].legend(fontsize=7)
    with files.atomic(path) as beside:
        figure.savefig(beside, dpi=120)
