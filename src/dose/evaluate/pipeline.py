"""From systems to a filled folder: generate (cached), score, write tables, plots and listening page."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dose import files
from dose.evaluate import output, plots
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import Item, rmod_items
from dose.evaluate.embeddings import load_embedders
from dose.evaluate.page import listening
from dose.evaluate.results import Results, SystemOutputs
from dose.evaluate.run import evaluate
from dose.evaluate.scoring import ReferenceFreeMetric
from dose.evaluate.systems import System, generate

if TYPE_CHECKING:
    from dose.codec.codec import Codec

Progress = Callable[[str, int, int], None]  # task, done, total (0: unknown)


def load_datasets(config: EvaluateConfig, rmod: Path) -> dict[str, list[Item]]:
    """The first `items` items of each configured data set."""
    return {dataset: rmod_items(rmod, dataset, config.items) for dataset in config.datasets}


def generate_all(
    systems: Sequence[System],
    datasets: Mapping[str, Sequence[Item]],
    cache: Path,
    progress: Progress = lambda *_: None,
) -> dict[str, list[SystemOutputs]]:
    """Runs every system on every data set -> data set -> outputs. Cached outputs are not generated again."""
    outputs: dict[str, list[SystemOutputs]] = {}
    for dataset, items in datasets.items():
        for system in systems:
            # Code, weights and data are in the folder's name: a change of any leads to another one.
            folder = (
                cache / "outputs" / f"{output.slug(system.name)}-{system.key}" / _items_key(dataset, items)
            )
            for done in generate(system, items, folder):
                progress(f"{dataset}: {system.name}", done, len(items))
            outputs.setdefault(dataset, []).append(SystemOutputs(name=system.name, folder=folder))
    return outputs


def score_all(
    config: EvaluateConfig,
    datasets: Mapping[str, Sequence[Item]],
    outputs: Mapping[str, Sequence[SystemOutputs]],
    codec: "Codec",
    reference_free: Sequence[ReferenceFreeMetric],
    out: Path,
    *,
    cache: Path | None,
    title: str = "Scores",
    unavailable: Mapping[str, str] | None = None,
    about: str = "",
    recordings: tuple[Sequence[Item], Sequence[SystemOutputs]] | None = None,
    progress: Progress = lambda *_: None,
) -> Results:
    """Scores, and fills the folder `out` (whole or not at all).

    `unavailable`: {system: why it could not be run}, for the notes. `about`: see `Results.about`.
    `recordings`: items without references, for the listening page only.
    """
    embedders, missing = load_embedders(config.embeddings, Path(config.weights), codec)
    results = evaluate(
        config, datasets, outputs, embedders, reference_free,
        cache=None if cache is None else cache / "embeddings", report=lambda task: progress(task, 0, 0),
    )  # fmt: skip
    results.about = about
    results.unavailable |= missing | dict(unavailable or {})
    # The page also shows recordings, which have no references and are not scored.
    page_items, page_outputs = dict(datasets), dict(outputs)
    if recordings is not None and recordings[0]:
        page_items["recordings"], page_outputs["recordings"] = recordings
    with files.atomic(out) as beside:
        output.write(results, beside, title)
        plots.write(results, beside / "plots")
        listening.write_page(results, page_items, page_outputs, beside / "listening.html")
    return results


@contextlib.contextmanager
def show_progress() -> Iterator[Progress]:
    """A `Progress` that prints to stderr: a bar on a terminal, else a line per task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description:44s}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console, disable=not console.is_terminal) as bar:
        bar_task = bar.add_task("evaluate", total=None)
        last = ""

        def progress(task: str, done: int, total: int) -> None:
            nonlocal last
            bar.update(bar_task, description=task, completed=done, total=total or None)
            if not console.is_terminal and task != last:
                console.print(f"evaluate: {task}", highlight=False)
            last = task

        yield progress


def _items_key(dataset: str, items: Sequence[Item]) -> str:
    """A data set's name and a digest of its mixes and references: other audio gets another cache folder."""
    digests = [
        [i.index, files.sha256(i.mix), sorted((d, files.sha256(p)) for d, p in i.shots.items())]
        for i in items
    ]
    return f"{dataset}-{files.hash_json(digests)}"
