"""From systems to a filled folder: generate (cached), score, write table, plots and page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dose import files
from dose.evaluate import output, plots, report
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import Item, rmod_items
from dose.evaluate.results import Entry, Results
from dose.evaluate.run import evaluate
from dose.evaluate.scoring import ReferenceFreeMetric
from dose.evaluate.systems import System, generate
from dose.metrics.pretrained import load_embedders

Progress = Callable[[str, int, int], None]  # what, done, of how many


def load_datasets(config: EvaluateConfig, rmod: Path) -> dict[str, list[Item]]:
    """The configured data sets' first `items` items each."""
    return {dataset: rmod_items(rmod, dataset, config.items) for dataset in config.datasets}


def generate_all(
    systems: Sequence[System],
    datasets: Mapping[str, Sequence[Item]],
    cache: Path,
    progress: Progress = lambda *_: None,
) -> dict[str, list[Entry]]:
    """Every system over every data set -> data set -> rows. What the cache holds is not made again."""
    entries: dict[str, list[Entry]] = {}
    for dataset, items in datasets.items():
        for system in systems:
            folder = (
                cache / "outputs" / f"{output.slug(system.name)}-{system.key}" / _items_key(dataset, items)
            )
            for done in generate(system, items, folder):
                progress(f"{dataset}: {system.name}", done, len(items))
            entries.setdefault(dataset, []).append(Entry(name=system.name, folder=folder))
    return entries


def score_all(
    config: EvaluateConfig,
    datasets: Mapping[str, Sequence[Item]],
    entries: Mapping[str, Sequence[Entry]],
    codec,
    judges: Sequence[ReferenceFreeMetric],
    out: Path,
    *,
    cache: Path | None,
    title: str = "Scores",
    lacking: Mapping[str, str] | None = None,
    about: str = "",
    recordings: tuple[Sequence[Item], Sequence[Entry]] | None = None,
    progress: Progress = lambda *_: None,
) -> Results:
    """Scores, and fills the folder `out` (whole or not at all).

    `lacking`: rows that could not be had and why, for the notes. `about`: see `Results.about`.
    """
    embedders, missing = load_embedders(config.embeddings, Path(config.weights), codec)
    results = evaluate(
        config, datasets, entries, embedders, judges,
        cache=None if cache is None else cache / "embeddings", say=lambda what: progress(what, 0, 0),
    )  # fmt: skip
    results.about = about
    results.lacking |= missing | dict(lacking or {})
    shown, rows = dict(datasets), dict(entries)
    if recordings is not None and recordings[0]:
        shown["recordings"], rows["recordings"] = recordings
    with files.atomic(out) as beside:
        output.write(results, beside, title)
        plots.write(results, beside / "plots")
        report.write_page(results, shown, rows, beside / "listening.html")
    return results


def _items_key(dataset: str, items: Sequence[Item]) -> str:
    """A data set's name and a digest of its mixes and truths, so that other audio gets another folder."""
    digests = [
        [i.index, files.sha256(i.mix), sorted((d, files.sha256(p)) for d, p in i.shots.items())]
        for i in items
    ]
    return f"{dataset}-{files.hash_json(digests)}"
