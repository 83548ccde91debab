"""Scores every data set, system and drum on the same items and the same bootstrap resamples."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dose.drums import DRUMS
from dose.errors import AudioError, DoseError
from dose.evaluate.compare import compare
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import Item, read_outputs
from dose.evaluate.results import REFERENCE, Exclusion, Results, SystemOutputs, put
from dose.evaluate.scoring import ReferenceFreeMetric, Resampling, item_estimates, item_scores, set_scores
from dose.metrics.bootstrap import Estimate, resamples
from dose.metrics.embeddings import Embedder
from dose.metrics.memorisation import memorised
from dose.metrics.one_shots import SAMPLES, is_silent


def evaluate(
    config: EvaluateConfig,
    datasets: Mapping[str, Sequence[Item]],
    outputs: Mapping[str, Sequence[SystemOutputs]],
    embedders: Sequence[Embedder],
    reference_free: Sequence[ReferenceFreeMetric] = (),
    *,
    cache: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Results:
    """Scores the one-shots in `outputs` (data set -> systems), generated before, against `datasets`.

    `report` is called with each step's name. What cannot be scored is excluded and listed. Raises DoseError
    for a data set of fewer than 2 items.
    """
    results = Results()
    for dataset, items in datasets.items():
        if len(items) < 2:
            raise DoseError(f"The data set {dataset} has {len(items)} items; at least 2 are needed.")
        results.indices[dataset] = [item.index for item in items]
        # Resampled once per data set: differences between systems are then paired.
        resampling = Resampling(
            items=resamples(len(items), config.bootstrap, config.seed),
            sets=resamples(len(items), config.bootstrap_sets, config.seed),
            seed=config.seed,
        )
        for drum in DRUMS:
            scorer = _Scorer(
                dataset=dataset, drum=drum, items=items, resampling=resampling, embedders=embedders,
                reference_free=reference_free, cache=cache, results=results,
            )  # fmt: skip
            references, usable = scorer.references()
            for system in outputs[dataset]:
                report(f"{dataset} {drum}: {system.name}")
                scorer.score(system, references, usable)
        compare(dataset, [system.name for system in outputs[dataset]], resampling, results)
    return results


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scorer:
    """Scores all systems on one data set and drum, into `results`."""

    dataset: str
    drum: str
    items: Sequence[Item]
    resampling: Resampling
    embedders: Sequence[Embedder]
    reference_free: Sequence[ReferenceFreeMetric]
    cache: Path | None
    results: Results

    def references(self) -> tuple[np.ndarray, np.ndarray]:
        """Reference one-shots [n, 44100] and which are usable [n]; the others are excluded everywhere."""
        shots, usable = np.zeros((len(self.items), SAMPLES), np.float32), np.zeros(len(self.items), bool)
        for i, item in enumerate(self.items):
            try:
                shots[i] = item.read_reference(self.drum)
                if is_silent(shots[i]):
                    raise AudioError("the reference one-shot is silent")
                usable[i] = True
            except AudioError as e:
                self._exclude(REFERENCE, item, str(e))
        scores = self._reference_free_scores(shots, usable)
        if scores:
            self._store(REFERENCE, scores, {})
        return shots, usable

    def score(self, system: SystemOutputs, references: np.ndarray, usable: np.ndarray) -> None:
        """Adds the system's scores; a system without any output for this drum gets none."""
        outputs = read_outputs(system.folder, self.items, self.drum)
        if all(isinstance(output, AudioError) for output in outputs):
            return
        # An item counts where both its reference and the system's output can be scored.
        generated, valid = np.zeros_like(references), usable.copy()
        for i, output in enumerate(outputs):
            if isinstance(output, AudioError):
                valid[i] = False
                if usable[i]:
                    self._exclude(system.name, self.items[i], str(output))
            else:
                generated[i] = output
        if not valid.any():
            return
        scores = {m: _scatter(v, valid) for m, v in item_scores(generated[valid], references[valid]).items()}
        scores |= self._reference_free_scores(generated, valid)
        of_references = self.results.item_scores.get((self.dataset, REFERENCE, self.drum), {})
        if "nearest_train_db" in scores and "nearest_train_db" in of_references:
            nearer = memorised(scores["nearest_train_db"], of_references["nearest_train_db"])
            scores["memorisation_rate"] = np.where(valid, nearer, np.nan)
        sets = set_scores(generated, references, valid, self.embedders, self.resampling, self.cache)
        self.results.warnings += [f"{self.dataset}, {system.name}, {self.drum}: {w}" for w in sets.warnings]
        self.results.curves += [
            (self.dataset, system.name, self.drum, f"{distance}_{embedding}", count, value)
            for embedding, distances in sets.curves.items()
            for distance, curve in distances.items()
            for count, value in curve.items()
        ]
        self._store(system.name, scores, sets.estimates)

    def _reference_free_scores(self, shots: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
        if not valid.any():
            return {}
        found = [metric.metrics(shots[valid], self.drum) for metric in self.reference_free]
        return {name: _scatter(values, valid) for scores in found for name, values in scores.items()}

    def _store(self, system: str, scores: dict[str, np.ndarray], sets: dict[str, Estimate]) -> None:
        self.results.item_scores[self.dataset, system, self.drum] = scores
        estimates = item_estimates(scores, self.resampling) | sets
        put(self.results.estimates, self.dataset, system, self.drum, estimates)

    def _exclude(self, system: str, item: Item, reason: str) -> None:
        self.results.excluded.append(
            Exclusion(dataset=self.dataset, system=system, drum=self.drum, index=item.index, reason=reason)
        )


def _scatter(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values [valid.sum()] of the valid items at their places among all [n], NaN elsewhere."""
    out = np.full(len(valid), np.nan)
    out[valid] = values
    return out
