"""The project's own table: its rows, its judges, its real recordings, from its folders to data/evaluate."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dose import bundle, files
from dose.drums import DRUMS
from dose.errors import MissingInputError
from dose.evaluate import pipeline
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import Item
from dose.evaluate.results import Results
from dose.evaluate.runs import record
from dose.evaluate.scoring import ReferenceFreeMetric
from dose.evaluate.systems import DoseSystem, Reconstruction, System, hpss, larsnet
from dose.model import checkpoint

SEVERAL = "DOSE, of several draws"  # the same models, past the paper
SMOKE_TEST = 20_000  # training pairs, below which scores say nothing of the method; the shipped saw 64,000
SWEPT = {"DOSE without onset loss": "ablation", "DOSE": "best"}  # row -> folder in each drum's sweep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folders:
    """Where the project keeps what an evaluation reads, and what it may keep between runs."""

    sources: Path = Path("data/sources")
    rmod: Path = Path("data/rmod")
    codec: Path = Path("data/codec")
    sweep: Path = Path("data/sweep")
    cache: Path = Path("data/cache/evaluate")


def evaluate_project(
    config: EvaluateConfig, folders: Folders, out: Path, progress: pipeline.Progress = lambda *_: None
) -> Results:
    """Fills `out` and records a run per bundle in MLflow. What was generated or embedded before is reused."""
    from dose.codec import load_codec

    codec = load_codec(folders.codec)
    datasets = pipeline.load_datasets(config, folders.rmod)
    rows, lacking = systems(config, codec, folders)
    shown = recordings() if config.recordings else []
    entries = pipeline.generate_all(rows, {**datasets, "recordings": shown}, folders.cache, progress)
    of_recordings = entries.pop("recordings", [])
    results = pipeline.score_all(
        config, datasets, entries, codec, judges(folders.sources), out,
        cache=folders.cache, lacking=lacking, about=about(config, folders),
        recordings=(shown, of_recordings), progress=progress,
    )  # fmt: skip
    record(results, {row.name: row.key for row in rows if isinstance(row, DoseSystem)}, config, out)
    return results


def about(config: EvaluateConfig, folders: Folders) -> str:
    """How much the project's own models have learned from, and plainly so where that is little."""
    cards = [
        checkpoint.read_card(folders.sweep / d / "best")["meta"] for d in DRUMS if _has(folders, d, "best")
    ]
    if not cards:
        return ""
    steps, pairs = max(card["steps"] for card in cards), max(card["pairs_seen"] for card in cards)
    told = f"The DOSE models of this project saw {pairs:,} pairs in at most {steps:,} steps a drum."
    if pairs >= SMOKE_TEST:
        return told
    told += " That is a smoke test: it shows that every stage works, not what the method can do."
    if "shipped" in config.bundles:
        told += " The row DOSE (shipped) has the models that extraction uses as installed."
    return told


def _has(folders: Folders, drum: str, kind: str) -> bool:
    return (folders.sweep / drum / kind / "model.json").is_file()


def systems(config: EvaluateConfig, codec, folders: Folders) -> tuple[list[System], dict[str, str]]:
    """The rows in the table's order, and for those that cannot be had the reason why.

    Reconstruction, the separators, both DOSE rows from the sweep as in the paper (greedy), then what is ours:
    what several draws of the same models give, and of those in `config.bundles`.
    """
    rows: list[System] = [Reconstruction(codec=codec), hpss()]
    lacking = {}
    try:
        rows.append(larsnet(Path(config.larsnet) if config.larsnet else None))
    except MissingInputError as e:
        lacking["LarsNet"] = str(e)
    for name, kind in SWEPT.items():
        found = {d: folders.sweep / d / kind for d in DRUMS if _has(folders, d, kind)}
        if found:
            rows.append(DoseSystem.load(name, swept_bundle(kind, found, folders)))
            if kind == "best" and config.draws > 1:
                rows.append(DoseSystem.load(SEVERAL, swept_bundle(kind, found, folders), config.draws))
        else:
            lacking[name] = f"no models: {folders.sweep}/<drum>/{kind} is missing; run `dvc repro sweep`."
    rows += [DoseSystem.load(f"DOSE ({Path(n).name})", bundle.named(n), config.draws) for n in config.bundles]
    return rows, lacking


def swept_bundle(kind: str, checkpoints: dict[str, Path], folders: Folders) -> Path:
    """A bundle in the cache of the sweep's checkpoints; made once for the same ones."""
    from dose.bundle import assemble

    parts = [folders.codec, *checkpoints.values()]
    digests = [files.sha256(p) for part in parts for p in sorted(part.rglob("*")) if p.is_file()]
    bundle = folders.cache / "bundles" / f"{kind}-{files.hash_json(digests)}"
    if not bundle.is_dir():
        assemble(bundle, codec=folders.codec, checkpoints=checkpoints)
    return bundle


def judges(sources: Path) -> Sequence[ReferenceFreeMetric]:
    """The class check and the copy check, fitted to the catalogue in `sources`."""
    from dose.evaluate.reference_free import drum_classifier, memorisation_check
    from dose.sources.library import SampleLibrary

    library = SampleLibrary.load(sources)
    return [drum_classifier(library), memorisation_check(library)]


def recordings() -> list[Item]:
    """Real recordings without truth, shown on the listening page."""
    from dose.sources.shipped import demo_recordings

    return [Item(index=i, mix=path, shots={}, name=path.stem) for i, path in enumerate(demo_recordings())]
