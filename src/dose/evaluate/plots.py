"""Plots of the table: CSV for `dvc plots diff`, PNG for reading without a network."""

import csv
from pathlib import Path

from dose import files
from dose.drums import DRUMS
from dose.evaluate.results import TRUTH, Results
from dose.evaluate.table import TITLES, columns

PICTURES = ("mss", "mss_log", "lsd_db", "attack_ms", "fad_codec", "kad_codec")


def write(results: Results, folder: Path) -> None:
    """scores.csv (a line per cell and metric), sample_size.csv, and one PNG per metric."""
    lines = [
        [dataset, row, drum, metric, e.value, e.low, e.high, e.n]
        for dataset, rows in results.cells.items()
        for row, drums in rows.items()
        for drum, cell in drums.items()
        for metric, e in cell.items()
    ]
    write_csv(folder / "scores.csv", ["dataset", "row", "drum", "metric", "value", "low", "high", "n"], lines)
    curves = [list(line) for line in results.curves]
    write_csv(folder / "sample_size.csv", ["dataset", "row", "drum", "metric", "items", "value"], curves)
    head = columns(results)
    for metric in PICTURES:
        if metric in head:
            _bars(results, metric, head[metric][0], folder / f"{metric}.png")


def write_csv(path: Path, head: list[str], lines: list[list]) -> None:
    with files.atomic(path) as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(head)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in line] for line in lines)


def _bars(results: Results, metric: str, heading: str, path: Path) -> None:
    """Rows as bars with their intervals, drums side by side, one panel per data set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(results.cells), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(results.cells), squeeze=False, sharey=True)[0]
    for panel, (dataset, rows) in zip(panels, results.cells.items(), strict=True):
        shown = [row for row in rows if row != TRUTH]
        for k, row in enumerate(shown):
            cells = [rows[row].get(drum, {}).get(metric) for drum in DRUMS]
            at = [i + 0.8 * (k - (len(shown) - 1) / 2) / len(shown) for i, c in enumerate(cells) if c]
            found = [c for c in cells if c]
            values = [c.value for c in found]
            bars = [[c.value - c.low for c in found], [c.high - c.value for c in found]]
            panel.bar(
                at,
                values,
                0.8 / len(shown),
                yerr=[[max(0, b) for b in side] for side in bars],
                capsize=2,
                label=row,
            )
        panel.set_xticks(range(len(DRUMS)), DRUMS)
        panel.set_title(TITLES.get(dataset, dataset))
    panels[0].set_ylabel(heading)
    panels[-1].legend(fontsize=7)
    with files.atomic(path) as beside:
        figure.savefig(beside, dpi=120)
