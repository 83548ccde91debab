"""The evaluation of this project: its systems, reference-free metrics and recordings -> data/evaluate."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dose import bundle, files
from dose.drums import DRUMS
from dose.errors import MissingInputError
from dose.evaluate import pipeline
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.datasets import Item
from dose.evaluate.mlflow_runs import log_runs
from dose.evaluate.results import RERANKED, Results
from dose.evaluate.scoring import ReferenceFreeMetric
from dose.evaluate.systems import DoseSystem, Reconstruction, System, hpss, larsnet
from dose.model import checkpoint

if TYPE_CHECKING:
    from dose.codec.codec import Codec

# Training pairs below which a model is called a smoke test; the shipped models were trained on 64,000.
SMOKE_TEST_PAIRS = 20_000
# System -> folder in a drum's sweep. DOSE has the trials that the sweeps selected.
SWEEP_MODELS = {"DOSE without onset loss": "ablation", "DOSE with onset loss": "onset", "DOSE": "best"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folders:
    """The project's folders that an evaluation reads, and its cache."""

    sources: Path = Path("data/sources")
    rmod: Path = Path("data/rmod")
    codec: Path = Path("data/codec")
    transcription: Path = Path("data/transcription")
    sweep: Path = Path("data/sweep")
    cache: Path = Path("data/cache/evaluate")


def evaluate_project(
    config: EvaluateConfig, folders: Folders, out: Path, progress: pipeline.Progress = lambda *_: None
) -> Results:
    """Fills `out` and logs a run per bundle to MLflow. Cached outputs and embeddings are reused."""
    from dose.codec import load_codec

    codec = load_codec(folders.codec)
    datasets = pipeline.load_datasets(config, folders.rmod)
    available, unavailable = systems(config, codec, folders)
    demo = recordings() if config.recordings else []
    outputs = pipeline.generate_all(available, {**datasets, "recordings": demo}, folders.cache, progress)
    # The demo recordings were generated with the data sets, but are not scored.
    demo_outputs = outputs.pop("recordings", [])
    results = pipeline.score_all(
        config, datasets, outputs, codec, reference_free_metrics(folders.sources), out,
        cache=folders.cache, unavailable=unavailable, about=about(config, folders),
        recordings=(demo, demo_outputs), progress=progress,
    )  # fmt: skip
    dose = [system for system in available if isinstance(system, DoseSystem)]
    models = {system.name: system.extractor.bundle for system in dose}
    log_runs(results, {system.name: system.key for system in dose}, config, out, models=models)
    return results


def about(config: EvaluateConfig, folders: Folders) -> str:
    """The amount of training behind the project's own models, with a warning where that is little."""
    cards = [
        checkpoint.read_card(folders.sweep / d / "best")["meta"] for d in DRUMS if _has(folders, d, "best")
    ]
    if not cards:
        return ""
    steps, pairs = max(card["steps"] for card in cards), max(card["pairs_seen"] for card in cards)
    text = (
        f"The DOSE models of this project were trained on {pairs:,} pairs in at most {steps:,} steps a drum."
    )
    if pairs >= SMOKE_TEST_PAIRS:
        return text
    text += " That is a smoke test: it shows that every stage works, not what the method can do."
    if "shipped" in config.bundles:
        text += " The system DOSE (shipped) has the models that extraction uses as installed."
    return text


def _has(folders: Folders, drum: str, kind: str) -> bool:
    return (folders.sweep / drum / kind / "model.json").is_file()


def systems(config: EvaluateConfig, codec: "Codec", folders: Folders) -> tuple[list[System], dict[str, str]]:
    """The systems in the table's order, and {name: reason} of those that cannot be run.

    Reconstruction, the separators, both DOSE models of the sweep as in the paper (greedy), then the systems
    beyond the paper: the same models with several reranked samples, and `config.bundles`.
    """
    available: list[System] = [Reconstruction(codec=codec), hpss()]
    unavailable = {}
    try:
        available.append(larsnet(Path(config.larsnet) if config.larsnet else None))
    except MissingInputError as e:
        unavailable["LarsNet"] = str(e)
    for name, kind in SWEEP_MODELS.items():
        checkpoints = {d: folders.sweep / d / kind for d in DRUMS if _has(folders, d, kind)}
        if kind == "onset":
            if not checkpoints:  # each selected trial has the onset loss: the row would be that of DOSE
                continue
            best = {d: folders.sweep / d / "best" for d in DRUMS if _has(folders, d, "best")}
            checkpoints = best | checkpoints
        if checkpoints:
            folder = swept_bundle(kind, checkpoints, folders)
            available.append(DoseSystem.load(name, folder))
            if kind == "best" and config.samples > 1:
                reranked = RERANKED.format(samples=config.samples)
                available.append(DoseSystem.load(reranked, folder, config.samples))
        else:
            unavailable[name] = f"no models: {folders.sweep}/<drum>/{kind} is missing; run `dvc repro sweep`."
    available += [
        DoseSystem.load(f"DOSE ({Path(name).name})", bundle.named(name), config.samples)
        for name in config.bundles
    ]
    return available, unavailable


def swept_bundle(kind: str, checkpoints: dict[str, Path], folders: Folders) -> Path:
    """A bundle of the sweep's checkpoints in the cache; assembled once for the same files."""
    from dose.bundle import assemble

    # Named after its contents, so that the systems' cached outputs stay valid as long as those do.
    contents = [folders.codec, folders.transcription, *checkpoints.values()]
    digests = [files.sha256(p) for folder in contents for p in sorted(folder.rglob("*")) if p.is_file()]
    assembled = folders.cache / "bundles" / f"{kind}-{files.hash_json(digests)}"
    if not assembled.is_dir():
        assemble(
            assembled,
            codec=folders.codec,
            transcription=folders.transcription,
            checkpoints=checkpoints,
        )
    return assembled


def reference_free_metrics(sources: Path) -> Sequence[ReferenceFreeMetric]:
    """Classifier accuracy and memorisation, fitted to the sample library in `sources`."""
    from dose.evaluate.reference_free import drum_classifier, nearest_training_shot
    from dose.sources.library import SampleLibrary

    library = SampleLibrary.load(sources)
    return [drum_classifier(library), nearest_training_shot(library)]


def recordings() -> list[Item]:
    """Real recordings without references, for the listening page."""
    from dose.sources.shipped import demo_recordings

    return [Item(index=i, mix=path, shots={}, name=path.stem) for i, path in enumerate(demo_recordings())]
