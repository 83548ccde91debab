"""The phases of a run on the real project: worktree, pipeline, scores, gate, registry, Bento."""

import dataclasses
import functools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dose import config, files
from dose.bundle import PACKAGED, Bundle, open_bundle
from dose.registry.gate import ModelScores, Verdict, decide
from dose.registry.gate_config import GateConfig
from dose.registry.names import CHAMPION, model_name
from dose.registry.registry import Registry
from dose.retrain import drift_reference, ingestion, scoring
from dose.retrain.config import RetrainConfig
from dose.retrain.orchestrator import DRIFT_REFERENCE, HOME
from dose.retrain.run_state import RunState
from dose.retrain.worktree import Worktree

# (bundle, worktree, folder for examples) -> scores, and embeddings of the references
Measure = Callable[[Path, Path, Path], tuple[dict[str, ModelScores], dict[str, np.ndarray]]]


class Packaging(Protocol):
    """The functions of the package stage (pipelines/package.py), for any project folder `root`."""

    def prepare_stores(self, root: Path) -> None:
        """Creates MLflow's experiments, so that their artifacts lie in `root` and not in a worktree."""
        ...

    def pack(self, root: Path, out: Path) -> Bundle: ...

    def origin(self, root: Path) -> dict[str, str]:
        """Tags that tie a version to code and data."""
        ...

    def runs(self, registry: Registry, root: Path) -> dict[str, str]:
        """Drum -> id of the MLflow run that trained it."""
        ...

    def wants_bento(self, root: Path) -> bool: ...

    def build_bento(self, root: Path, bundle: Bundle, labels: Mapping[str, str]) -> str:
        """Returns the Bento's tag."""
        ...


class ProjectSteps:
    """`orchestrator.Steps` of the project in `root`; tests set worktree, registry and measure."""

    def __init__(
        self,
        settings: RetrainConfig,
        packaging: Packaging,
        root: Path = Path("."),
        *,
        worktree: Worktree | None = None,
        registry: Registry | None = None,
        measure: Measure | None = None,
    ) -> None:
        self.settings, self.packaging, self.root = settings, packaging, root
        self.home = root / HOME
        self.worktree = worktree or Worktree(root, self.home / "work")
        self.registry = registry or Registry(root=root)
        self.measure = measure or functools.partial(measure_bundle, settings.gate)
        self._store = self.home / "intake"  # of ingested batches; an old name, kept in existing projects
        self._phases = {
            "ingest": self._ingest,
            "version": self._version,
            "repro": self._repro,
            "evaluate": self._evaluate,
            "gate": self._gate,
            "promote": self._promote,
            "bento": self._bento,
        }

    def new_sounds(self) -> int:
        return len(ingestion.pending_files(self.root / self.settings.folder))

    def data_key(self) -> str:
        watched = self.root / self.settings.folder
        names = {p: p.relative_to(watched).as_posix() for p in ingestion.pending_files(watched)}
        # What will be ingested counts as data already, so that ingesting it does not change the key.
        new = [files.sha256(p) for p, name in names.items() if ingestion.rejection_reason(p, name) is None]
        old = [d for batch in ingestion.stored_batches(self._store).values() for d in batch["files"].values()]
        return files.hash_json(
            [sorted({*new, *old}), self.worktree.params_key(), self.worktree.downloads_key()]
        )

    def run_phase(self, phase: str, run: RunState, folder: Path) -> dict[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        return self._phases[phase](run, folder)

    def _ingest(self, run: RunState, folder: Path) -> dict[str, Any]:
        found = ingestion.ingest(self.root / self.settings.folder, self._store, self.home / "rejected")
        summary = f"{found.accepted} sounds ingested, {len(found.rejected)} rejected"
        return {"summary": summary, "rejected": found.rejected}

    def _version(self, run: RunState, folder: Path) -> dict[str, Any]:
        commit = self.worktree.set_up(run.id, self._store, ingestion.stored_batches(self._store))
        return {"summary": f"commit {commit[:10]}", "commit": commit}

    def _repro(self, run: RunState, folder: Path) -> dict[str, Any]:
        self.packaging.prepare_stores(self.root)
        self.worktree.reproduce("evaluate")
        commit = self.worktree.publish(run.id)
        return {"summary": f"reproduced as {commit[:10]}", "commit": commit}

    def _evaluate(self, run: RunState, folder: Path) -> dict[str, Any]:
        """Scores challenger and champion on the same items, unless an earlier start has done so."""
        bundle = self.packaging.pack(self.worktree.path, folder / "challenger")
        bundles = {"challenger": bundle.folder}
        if self.registry.live.exists():
            bundles["champion"] = self.registry.live.resolve()
        sounds = folder / "sounds"
        for name, path in bundles.items():
            # Scoring takes long: a start after a kill reuses what is complete.
            if not (folder / f"{name}.npz").is_file():
                scores, references = self.measure(path, self.worktree.path, sounds / name)
                # The same for both models; written before the scores, which mark the step as complete.
                with files.atomic(folder / "references.npz") as beside:
                    np.savez(beside, **references)  # type: ignore[arg-type]
                scoring.save(folder / f"{name}.npz", scores)
        opponent = bundles["champion"].name if "champion" in bundles else "nothing"
        return {
            "summary": f"{bundle.version} against {opponent}",
            "sounds": sorted(p.relative_to(folder).as_posix() for p in sounds.rglob("*.flac")),
        }

    def _gate(self, run: RunState, folder: Path) -> dict[str, Any]:
        challengers = scoring.load(folder / "challenger.npz")
        if not (folder / "champion.npz").is_file():
            return {"summary": "there is no champion yet", "verdicts": {}, "first": True}
        champions = scoring.load(folder / "champion.npz")
        references = _load_references(folder)
        # A drum without champion has nothing to be compared with.
        comparable = {drum: s for drum, s in challengers.items() if drum in champions}
        verdicts = decide(self.settings.gate, champions, comparable, references)
        passed = [drum for drum, v in verdicts.items() if v.promote]
        return {
            "summary": f"passed: {', '.join(passed) or 'none'}",
            "verdicts": {drum: _as_json(v) for drum, v in verdicts.items()},
        }

    def _promote(self, run: RunState, folder: Path) -> dict[str, Any]:
        """Registers all drums as challengers and promotes those that passed."""
        bundle = open_bundle(folder / "challenger")
        # Fails with one sentence where MLflow is unreachable; the next start repeats the phase.
        self.registry.tracker.ensure_store()
        tags = {
            **self.packaging.origin(self.worktree.path),
            "dose.retrain": run.id,
            "dose.bundle": bundle.version,
            "dose.data_id": bundle.data_id,
            # Of the worktree that trained them, not of the tree in which this process runs.
            "mlflow.source.git.commit": run.done["repro"]["commit"],
            "dose.git_dirty": "false",
        }
        # Ties each version to the MLflow run of its training.
        trained = self.packaging.runs(self.registry, self.worktree.path)
        versions = self.registry.register(bundle, tags=tags, runs=trained)
        gate = run.done["gate"]
        if gate.get("first"):
            self._refresh_drift_reference()
            return {"summary": "the first models went into service", "drums": list(versions)}
        passed = [drum for drum, v in gate["verdicts"].items() if v["promote"]]
        champions = self.registry.champions()
        # An earlier start that was killed here may have promoted them.
        choice = {d: versions[d].version for d in passed if champions.get(d) != versions[d].version}
        if choice:
            self.registry.promote(choice, reason=f"retraining {run.id} passed the gate")
        if passed:
            self._refresh_drift_reference()
        return {"summary": f"{CHAMPION}: {', '.join(passed) or 'as before'}", "drums": passed}

    def _refresh_drift_reference(self) -> None:
        """Drift is measured from the mixes on which the models in service were trained."""
        if self.settings.triggers.drift is not None:
            path = self.worktree.path
            statistics = drift_reference.of_training(path / "params.yaml", path / "data/sources")
            files.write_json(self.home / DRIFT_REFERENCE, statistics)

    def _bento(self, run: RunState, folder: Path) -> dict[str, Any]:
        """Builds a Bento of the models in service where they changed; then removes the worktree."""
        path, summary = self.worktree.path, "nothing changed"
        if run.promoted and not path.is_dir():
            summary = "built by an earlier start"  # which was killed after it had removed the worktree
        elif run.promoted and not self.packaging.wants_bento(path):
            summary = "none (package.bento)"
        elif run.promoted:
            target = path / PACKAGED  # from which a Bento is built
            # A killed start may have left half a copy.
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self.registry.live.resolve(), target)
            labels = {model_name(drum): str(v) for drum, v in self.registry.champions().items()}
            summary = self.packaging.build_bento(path, open_bundle(target), labels)
        self.worktree.clear()
        return {"summary": summary}

    def abandon(self, run: RunState) -> None:
        """Removes the worktree and ends the MLflow runs that a failed run left open; its branch stays."""
        commit = run.done.get("version", {}).get("commit")
        tracker = self.registry.tracker
        # The run's own commit identifies the MLflow runs that it started.
        for left in tracker.runs({"mlflow.source.git.commit": commit}) if commit else ():
            if left.status == "RUNNING":
                tracker.end_run(left.id, "KILLED")
        self.worktree.clear()


def measure_bundle(
    gate: GateConfig, bundle: Path, worktree: Path, examples: Path
) -> tuple[dict[str, ModelScores], dict[str, np.ndarray]]:
    """A bundle's scores on `gate.items` held-out mixes of the worktree, and the references' embeddings.

    The one-shots of the first few mixes are written to the folder `examples`.
    """
    from dose.codec import bundled_codec
    from dose.extract import Extractor
    from dose.metrics.embeddings import CodecEmbedder
    from dose.rmod import RmodConfig
    from dose.sources.library import SampleLibrary

    rmod = config.load("rmod", RmodConfig, worktree / "params.yaml")
    items = scoring.rendered(rmod, SampleLibrary.load(worktree / "data/sources"), gate.items)
    # One embedding for both: the challenger's codec may differ from the champion's.
    embedder = CodecEmbedder(bundled_codec())
    extractor = Extractor(bundle)
    scoring.write_examples(examples, extractor, items, gate.samples)
    sizes = scoring.sizes_mb(bundle, extractor.drums)
    return scoring.score(extractor, items, embedder, sizes, gate.samples)


def _load_references(folder: Path) -> dict[str, np.ndarray]:
    """Drum -> embeddings of the references, also of an unfinished run of an earlier release."""
    path = folder / "references.npz"
    if not path.is_file():
        path = folder / "truth.npz"  # old name
    with np.load(path) as z:
        return {drum: z[drum] for drum in z.files}


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {**dataclasses.asdict(verdict), "reasons": list(verdict.reasons)}
