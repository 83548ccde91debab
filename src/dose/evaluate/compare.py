"""Paired differences between systems and their normalised improvement over the baselines."""

from collections.abc import Sequence

from dose.drums import DRUMS
from dose.evaluate.results import Results, put
from dose.evaluate.scoring import Resampling
from dose.evaluate.systems import LARSNETS
from dose.metrics.bootstrap import Estimate, mean_difference, normalised_improvement, set_difference

RECONSTRUCTION = "Reconstruction"
BASELINES = ("Separation (HPSS)", *LARSNETS.values())


def compare(dataset: str, systems: Sequence[str], resampling: Resampling, results: Results) -> None:
    """Fills `differences` (every later system minus every earlier one) and `improvements`."""
    for drum in DRUMS:
        scored = [system for system in systems if (dataset, system, drum) in results.item_scores]
        for i, a in enumerate(scored):
            for b in scored[:i]:
                put(
                    results.differences,
                    dataset,
                    f"{a} - {b}",
                    drum,
                    _differences(dataset, drum, a, b, resampling, results),
                )
        # The improvement is a share of the gap to reconstruction, which must have been scored, too.
        if RECONSTRUCTION in scored:
            for baseline in (b for b in BASELINES if b in scored):
                for system in (s for s in scored if s not in (RECONSTRUCTION, *BASELINES)):
                    mss = [
                        results.item_scores[dataset, s, drum]["mss"]
                        for s in (baseline, system, RECONSTRUCTION)
                    ]
                    improvement = normalised_improvement(mss[0], mss[1], mss[2], resampling.items)
                    if improvement is not None:
                        name = f"{system} against {baseline}"
                        put(results.improvements, dataset, name, drum, {"mss": improvement})


def _differences(
    dataset: str, drum: str, a: str, b: str, resampling: Resampling, results: Results
) -> dict[str, Estimate]:
    """{metric: a - b} over the items that both systems have; distances between sets where both have all."""
    items_a, items_b = results.item_scores[dataset, a, drum], results.item_scores[dataset, b, drum]
    estimates_a, estimates_b = results.estimates[dataset][a][drum], results.estimates[dataset][b][drum]
    out: dict[str, Estimate] = {}
    for metric in sorted(estimates_a.keys() & estimates_b.keys()):
        if metric in items_a:
            estimate = mean_difference(items_a[metric], items_b[metric], resampling.items)
            if estimate is not None:
                out[metric] = estimate
        elif len(estimates_a[metric].replicates) == len(estimates_b[metric].replicates):
            out[metric] = set_difference(estimates_a[metric], estimates_b[metric])
    return out
