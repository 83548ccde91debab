"""The whole table: every data set, row and drum, scored on the same items and the same resamples."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from dose.drums import DRUMS
from dose.errors import AudioError, DoseError
from dose.evaluate.compare import compare
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import Item, read_outputs
from dose.evaluate.results import TRUTH, Entry, Exclusion, Results, put
from dose.evaluate.scoring import ReferenceFreeMetric, Resampling, item_estimates, item_scores, set_scores
from dose.metrics.embeddings import Embedder
from dose.metrics.shots import SAMPLES, is_silent
from dose.metrics.statistics import resamples


def evaluate(
    config: EvaluateConfig,
    datasets: Mapping[str, Sequence[Item]],
    entries: Mapping[str, Sequence[Entry]],
    embedders: Sequence[Embedder],
    judges: Sequence[ReferenceFreeMetric] = (),
    *,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Results:
    """Scores what `entries` (data set -> rows) hold for `datasets`; generation has happened before.

    Raises DoseError for a data set of fewer than 2 items. What cannot be scored is excluded and listed.
    """
    results = Results()
    for dataset, items in datasets.items():
        if len(items) < 2:
            raise DoseError(f"The data set {dataset} has {len(items)} items; at least 2 are needed.")
        results.indices[dataset] = [item.index for item in items]
        sampling = Resampling(
            items=resamples(len(items), config.bootstrap, config.seed),
            sets=resamples(len(items), config.bootstrap_sets, config.seed),
            seed=config.seed,
        )
        for drum in DRUMS:
            cell = _Table(
                dataset=dataset, drum=drum, items=items, sampling=sampling, embedders=embedders,
                judges=judges, cache=cache, results=results,
            )  # fmt: skip
            truth, usable = cell.truth()
            for entry in entries[dataset]:
                say(f"{dataset} {drum}: {entry.name}")
                cell.score(entry, truth, usable)
        compare(dataset, [e.name for e in entries[dataset]], sampling, results)
    return results


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Table:
    """All rows of one data set and drum."""

    dataset: str
    drum: str
    items: Sequence[Item]
    sampling: Resampling
    embedders: Sequence[Embedder]
    judges: Sequence[ReferenceFreeMetric]
    cache: Path | None
    results: Results

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """True one-shots [n, 44100] and which can be used [n]; the others are excluded for every row."""
        shots, usable = np.zeros((len(self.items), SAMPLES), np.float32), np.zeros(len(self.items), bool)
        for i, item in enumerate(self.items):
            try:
                shots[i] = item.read_truth(self.drum)
                if is_silent(shots[i]):
                    raise AudioError("the true one-shot is silent")
                usable[i] = True
            except AudioError as e:
                self._exclude(TRUTH, item, str(e))
        scores = self._judged(shots, usable)
        if scores:
            self._keep(TRUTH, scores, {})
        return shots, usable

    def score(self, entry: Entry, truth: np.ndarray, usable: np.ndarray) -> None:
        """One cell; a system that has no output at all for this drum has none."""
        outputs = read_outputs(entry.folder, self.items, self.drum)
        if all(isinstance(output, AudioError) for output in outputs):
            return
        generated, valid = np.zeros_like(truth), usable.copy()
        for i, output in enumerate(outputs):
            if isinstance(output, AudioError):
                valid[i] = False
                if usable[i]:
                    self._exclude(entry.name, self.items[i], str(output))
            else:
                generated[i] = output
        if not valid.any():
            return
        scores = {m: _spread(v, valid) for m, v in item_scores(generated[valid], truth[valid]).items()}
        scores |= self._judged(generated, valid)
        known = self.results.items.get((self.dataset, TRUTH, self.drum), {}).get("copy_db")
        if known is not None and "copy_db" in scores:
            scores["nearer"] = np.where(valid, scores["copy_db"] < known, np.nan)
        sets = set_scores(generated, truth, valid, self.embedders, self.sampling, self.cache)
        self.results.warnings += [f"{self.dataset}, {entry.name}, {self.drum}: {w}" for w in sets.warnings]
        self.results.curves += [
            (self.dataset, entry.name, self.drum, f"{kind}_{network}", count, value)
            for network, kinds in sets.curves.items()
            for kind, curve in kinds.items()
            for count, value in curve.items()
        ]
        self._keep(entry.name, scores, sets.estimates)

    def _judged(self, shots: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
        if not valid.any():
            return {}
        found = [judge.metrics(shots[valid], self.drum) for judge in self.judges]
        return {metric: _spread(values, valid) for scores in found for metric, values in scores.items()}

    def _keep(self, row: str, scores: dict[str, np.ndarray], sets: dict) -> None:
        self.results.items[self.dataset, row, self.drum] = scores
        put(self.results.cells, self.dataset, row, self.drum, item_estimates(scores, self.sampling) | sets)

    def _exclude(self, row: str, item: Item, reason: str) -> None:
        self.results.excluded.append(
            Exclusion(dataset=self.dataset, row=row, drum=self.drum, index=item.index, reason=reason)
        )


def _spread(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values of the valid items put back among all, NaN elsewhere."""
    out = np.full(len(valid), np.nan)
    out[valid] = values
    return out
