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
from dose.registry.gate import ModelScores, judge
from dose.registry.gate_config import GateConfig
from dose.registry.registry import CHAMPION, Registry, model_name
from dose.retrain import drift_reference, ingestion, scoring
from dose.retrain.config import RetrainConfig
from dose.retrain.orchestrator import HOME, REFERENCE
from dose.retrain.run_state import RunStateStore
from dose.retrain.worktree import Worktree

# (bundle, worktree, folder for examples) -> scores and truth
Measure = Callable[[Path, Path, Path], tuple[dict[str, ModelScores], dict[str, np.ndarray]]]


class Packaging(Protocol):
    """What the package stage's script (pipelines/package.py) does, for any project folder `root`."""

    def prepare_stores(self, root: Path) -> None:
        """Makes MLflow's experiments, so that their artifacts lie in `root` and not in a worktree."""
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
        """Its tag."""
        ...


class ProjectSteps:
    """`dose.retrain.orchestrator.Steps` of the project in `root`; workshop, registry, measure: for tests."""

    def __init__(
        self,
        settings: RetrainConfig,
        packaging: Packaging,
        root: Path = Path("."),
        *,
        workshop: Worktree | None = None,
        registry: Registry | None = None,
        measure: Measure | None = None,
    ) -> None:
        self.settings, self.packaging, self.root = settings, packaging, root
        self.home = root / HOME
        self.workshop = workshop or Worktree(root, self.home / "work")
        self.registry = registry or Registry(root=root)
        self.measure = measure or functools.partial(measure_bundle, settings.gate)

    def waiting(self) -> int:
        return len(ingestion.waiting(self.root / self.settings.folder))

    def key(self) -> str:
        watched = self.root / self.settings.folder
        names = {p: p.relative_to(watched).as_posix() for p in ingestion.waiting(watched)}
        new = [files.sha256(p) for p, name in names.items() if ingestion.fault(p, name) is None]
        old = [d for about in ingestion.stored(self._intakes).values() for d in about["files"].values()]
        # Data is what will have been taken in, so that taking it in changes nothing.
        facts = [sorted({*new, *old}), self.workshop.params(), self.workshop.fetched()]
        return files.hash_json(facts)

    def do(self, phase: str, run: RunStateStore, folder: Path) -> dict[str, Any]:
        folder.mkdir(parents=True, exist_ok=True)
        return getattr(self, f"_{phase}")(run, folder)

    @property
    def _intakes(self) -> Path:
        return self.home / "intake"

    def _intake(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        found = ingestion.take_in(self.root / self.settings.folder, self._intakes, self.home / "rejected")
        says = f"{found.taken} sounds taken in, {len(found.rejected)} rejected"
        return {"says": says, "rejected": found.rejected}

    def _version(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        commit = self.workshop.set_up(run.id, self._intakes, ingestion.stored(self._intakes))
        return {"says": f"commit {commit[:10]}", "commit": commit}

    def _repro(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        self.packaging.prepare_stores(self.root)
        self.workshop.reproduce("evaluate")
        commit = self.workshop.publish(run.id)
        return {"says": f"reproduced as {commit[:10]}", "commit": commit}

    def _evaluate(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        """Scores both kits on the same items; what an earlier start has scored is kept."""
        bundle = self.packaging.pack(self.workshop.place, folder / "challenger")
        kits = {"challenger": bundle.folder}
        if self.registry.live.exists():
            kits["champion"] = self.registry.live.resolve()
        sounds = folder / "sounds"
        for name, kit in kits.items():
            if not (folder / f"{name}.npz").is_file():
                scores, truth = self.measure(kit, self.workshop.place, sounds / name)
                with files.atomic(folder / "truth.npz") as beside:
                    np.savez(beside, **truth)  # type: ignore[arg-type]
                scoring.save(folder / f"{name}.npz", scores)
        return {
            "says": f"{bundle.version} against {kits['champion'].name if 'champion' in kits else 'nothing'}",
            "sounds": sorted(p.relative_to(folder).as_posix() for p in sounds.rglob("*.flac")),
        }

    def _gate(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        challengers = scoring.load(folder / "challenger.npz")
        if not (folder / "champion.npz").is_file():
            return {"says": "there is no champion yet", "verdicts": {}, "first": True}
        champions = scoring.load(folder / "champion.npz")
        with np.load(folder / "truth.npz") as z:
            truth = {drum: z[drum] for drum in z.files}
        offered = {drum: s for drum, s in challengers.items() if drum in champions}
        verdicts = judge(self.settings.gate, champions, offered, truth)
        passed = [drum for drum, v in verdicts.items() if v.promote]
        return {
            "says": f"passed: {', '.join(passed) or 'none'}",
            "verdicts": {drum: _plain(v) for drum, v in verdicts.items()},
        }

    def _promote(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        """Registers all drums as challengers and moves the alias of those that passed."""
        bundle = open_bundle(folder / "challenger")
        self.registry.tracker.ensure_store()
        tags = {
            **self.packaging.origin(self.workshop.place),
            "dose.retrain": run.id,
            "dose.bundle": bundle.version,
            "dose.data_id": bundle.data_id,
            "mlflow.source.git.commit": run.done["repro"]["commit"],
        }
        trained = self.packaging.runs(self.registry, self.workshop.place)
        versions = self.registry.register(bundle, tags=tags, runs=trained)
        gate = run.done["gate"]
        if gate.get("first"):
            self._refresh_reference()
            return {"says": "the first models went into service", "drums": list(versions)}
        passed = [drum for drum, v in gate["verdicts"].items() if v["promote"]]
        champions = self.registry.champions()
        choice = {d: versions[d].version for d in passed if champions.get(d) != versions[d].version}
        if choice:  # a start before this one may have moved them
            self.registry.promote(choice, reason=f"retraining {run.id} passed the gate")
        if passed:
            self._refresh_reference()
        return {"says": f"{CHAMPION}: {', '.join(passed) or 'as before'}", "drums": passed}

    def _refresh_reference(self) -> None:
        """Drift is measured from what the models in service were trained on."""
        if self.settings.triggers.drift is not None:
            place = self.workshop.place
            told = drift_reference.of_training(place / "params.yaml", place / "data/sources")
            files.write_json(self.home / REFERENCE, told)

    def _bento(self, run: RunStateStore, folder: Path) -> dict[str, Any]:
        """A Bento of what is in service now, where that changed; then the worktree has done its work."""
        place, says = self.workshop.place, "nothing changed"
        if run.promoted and not place.is_dir():
            says = "built by an earlier start"  # which was killed after it had cleared up
        elif run.promoted and not self.packaging.wants_bento(place):
            says = "none, as package.bento has it"
        elif run.promoted:
            target = place / PACKAGED  # what a Bento is built from
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self.registry.live.resolve(), target)
            labels = {model_name(drum): str(v) for drum, v in self.registry.champions().items()}
            says = self.packaging.build_bento(place, open_bundle(target), labels)
        self.workshop.clear()
        return {"says": says}

    def give_up(self, run: RunStateStore) -> None:
        """Removes the worktree and ends the MLflow runs that a failed run left open; its branch stays."""
        commit = run.done.get("version", {}).get("commit")
        tracker = self.registry.tracker
        for left in tracker.runs({"mlflow.source.git.commit": commit}) if commit else ():
            if left.status == "RUNNING":
                tracker.end_run(left.id, "KILLED")
        self.workshop.clear()


def measure_bundle(
    gate: GateConfig, bundle: Path, worktree: Path, examples: Path
) -> tuple[dict[str, ModelScores], dict[str, np.ndarray]]:
    """A bundle's scores on `gate.items` held-out mixes of the worktree's data, and the truth's embeddings.

    What it makes of the first few of them is written to the folder `examples`.
    """
    from dose.codec import bundled_codec
    from dose.extract import Extractor
    from dose.metrics.embeddings import CodecEmbedder
    from dose.rmod import RmodConfig
    from dose.sources.library import SampleLibrary

    rmod = config.load("rmod", RmodConfig, worktree / "params.yaml")
    items = scoring.rendered(rmod, SampleLibrary.load(worktree / "data/sources"), gate.items)
    # The shipped codec judges both: a challenger may speak another codec than the champion.
    judge_of_both = CodecEmbedder(bundled_codec())
    kit = Extractor.load(bundle)
    scoring.write_examples(examples, kit, items, gate.draws)
    return scoring.score(kit, items, judge_of_both, scoring.sizes(bundle, kit.drums), gate.draws)


def _plain(verdict: Any) -> Mapping[str, Any]:
    return {**dataclasses.asdict(verdict), "reasons": list(verdict.reasons)}
