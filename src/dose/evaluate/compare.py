"""Differences between rows and the share of the open gap that each closes, on paired resamples."""

from collections.abc import Sequence

from dose.drums import DRUMS
from dose.evaluate.results import Results, put
from dose.evaluate.scoring import Resampling
from dose.evaluate.systems import LARSNETS
from dose.metrics.statistics import Estimate, gap_closed, mean_difference, set_difference

CEILING = "Reconstruction"
BASELINES = ("Separation (HPSS)", *LARSNETS.values())


def compare(dataset: str, rows: Sequence[str], sampling: Resampling, results: Results) -> None:
    """Fills `differences` (every later row minus every earlier one) and `gaps` (each row and baseline)."""
    for drum in DRUMS:
        here = [row for row in rows if (dataset, row, drum) in results.items]
        for i, a in enumerate(here):
            for b in here[:i]:
                put(
                    results.differences,
                    dataset,
                    f"{a} - {b}",
                    drum,
                    _differences(dataset, drum, a, b, sampling, results),
                )
        if CEILING in here:
            for baseline in (b for b in BASELINES if b in here):
                for row in (r for r in here if r not in (CEILING, *BASELINES)):
                    scores = [results.items[dataset, r, drum]["mss"] for r in (baseline, row, CEILING)]
                    gap = gap_closed(scores[0], scores[1], scores[2], sampling.items)
                    if gap is not None:
                        put(results.gaps, dataset, f"{row} against {baseline}", drum, {"mss": gap})


def _differences(
    dataset: str, drum: str, a: str, b: str, sampling: Resampling, results: Results
) -> dict[str, Estimate]:
    """{metric: a - b} over the items that both rows have; distances between sets where both have all."""
    items_a, items_b = results.items[dataset, a, drum], results.items[dataset, b, drum]
    cell_a, cell_b = results.cells[dataset][a][drum], results.cells[dataset][b][drum]
    out: dict[str, Estimate] = {}
    for metric in sorted(cell_a.keys() & cell_b.keys()):
        if metric in items_a:
            estimate = mean_difference(items_a[metric], items_b[metric], sampling.items)
            if estimate is not None:
                out[metric] = estimate
        elif len(cell_a[metric].replicates) == len(cell_b[metric].replicates):
            out[metric] = set_difference(cell_a[metric], cell_b[metric])
    return out
