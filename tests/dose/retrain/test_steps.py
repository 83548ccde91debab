"""The phases on a project of folders; MLflow is in memory, dvc and the models are stubs.

The rest is real: ingestion, bundles, scores on disk, the gate, the registry's aliases and its live link.
"""

import dataclasses
import datetime
import shutil

import numpy as np
import pytest

from dose import audio, files
from dose.bundle import assemble, open_bundle
from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.registry.gate import ModelScores
from dose.registry.gate_config import GateConfig
from dose.registry.registry import Registry
from dose.retrain import drift_reference, run_state
from dose.retrain.config import RetrainConfig, Triggers
from dose.retrain.orchestrator import Orchestrator
from dose.retrain.run_state import PHASES
from dose.retrain.steps import ProjectSteps
from dose.tracking import ModelVersion, RunRecord

ITEMS = 60
STATUSES = ("FINISHED", "RUNNING", "FAILED")


class Killed(BaseException):
    pass


class MemoryTracker:
    """`dose.tracking.Tracker` in memory, as far as the registry uses it."""

    def __init__(self, root):
        self.root, self.registered, self.alias_map, self.unreachable = root, {}, {}, False

    def ensure_store(self):
        if self.unreachable:
            raise ConnectionError("MLflow is unreachable")

    def register(self, name, folder, *, hash, tags, run_id=None, **_):
        self.ensure_store()
        for version in self.versions(name):
            if version.hash == hash:
                return version
        number = len(self.registered.setdefault(name, [])) + 1
        shutil.copytree(folder, self.root / name / str(number))
        made = ModelVersion(name=name, version=number, hash=hash, aliases=(), tags=dict(tags), run_id=run_id)
        self.registered[name].append(made)
        return made

    def versions(self, name):
        return list(self.registered.get(name, []))

    def version(self, name, version):
        return self.registered[name][version - 1]

    def aliases(self, name):
        return dict(self.alias_map.get(name, {}))

    def set_alias(self, name, alias, version):
        aliases = self.alias_map.setdefault(name, {})
        if version is None:
            del aliases[alias]
        else:
            aliases[alias] = version

    def runs(self, tags):
        self.asked, self.ended = tags, []
        return self.open

    def end_run(self, run, status):
        self.ended.append((run, status))

    def download(self, name, version, to):
        shutil.copytree(self.root / name / str(version), to)


class StubWorktree:
    """Reproduces "models" whose weights name their round of training."""

    def __init__(self, path):
        self.path, self.round, self.batches = path, 0, {}

    def set_up(self, run, store, batches):
        self.clear()
        self.path.mkdir(parents=True)
        self.batches = dict(batches)
        return "c0ffee"

    def reproduce(self, *targets):
        self.round += 1
        codec = self.path / "data" / "codec"
        codec.mkdir(parents=True, exist_ok=True)
        files.write_json(codec / "codec.json", {"id": "codec-1"})
        for drum in DRUMS:
            best = self.path / "data" / "sweep" / drum / "best"
            best.mkdir(parents=True, exist_ok=True)
            (best / "weights.safetensors").write_text(f"{drum} {self.round}")
            files.write_json(best / "model.json", {"meta": {"codec_id": "codec-1", "drum": drum}})

    def publish(self, run):
        return "decaf"

    def params_key(self):
        return files.sha256(self.path.parents[2] / "params.yaml")

    def downloads_key(self):
        return "nothing"

    def clear(self, run=None):
        shutil.rmtree(self.path, ignore_errors=True)


class Project:
    def __init__(self, root):
        self.root, self.now = root, datetime.datetime(2026, 3, 4, tzinfo=datetime.UTC)
        (root / "params.yaml").write_text("sources: {}")
        self.tracker = MemoryTracker(root / "store")
        self.registry = Registry(self.tracker, root=root)
        self.worktree = StubWorktree(root / "data" / "retrain" / "work")
        self.better, self.measured, self.bentos = {}, [], []
        self.settings = RetrainConfig(gate=GateConfig(items=ITEMS, resamples=200))

    def sounds(self, count, pitch):
        folder = self.root / "incoming" / "kick"
        folder.mkdir(parents=True, exist_ok=True)
        time = np.arange(9000) / 44100
        for i in range(count):
            sound = 0.5 * np.sin(2 * np.pi * (pitch + i) * time) * np.exp(-20 * time)
            audio.write(folder / f"{pitch}-{i}.wav", sound.astype(np.float32))
        (self.root / "incoming" / "licence.yaml").write_text("licence: CC0-1.0\nauthor: me\n")

    def measure(self, bundle, worktree, examples):
        """The champion's scores, or for the challenger MSS lowered as the test asks."""
        self.measured.append(bundle.name)
        audio.write(examples / "1-kick.flac", np.zeros(100, np.float32))
        gain = self.better if bundle.name == "challenger" else {}
        rng = np.random.default_rng(0)
        references = {d: rng.normal(size=(ITEMS, 1, 3)).astype(np.float32) for d in DRUMS}
        scores = {}
        for drum in DRUMS:
            seed_effect = np.random.default_rng(len(bundle.name)).normal(0, 0.03, ITEMS)
            mss = np.exp(rng.normal(0, 0.5, ITEMS) + seed_effect) * (1 - gain.get(drum, 0))
            scores[drum] = ModelScores(mss=mss, embeddings=references[drum] + 1, seconds=0.1, size_mb=1.0)
        return scores, references

    # The package stage

    def prepare_stores(self, root):
        pass

    def pack(self, root, out):
        data = root / "data"
        return assemble(
            out,
            codec=data / "codec",
            checkpoints={drum: data / "sweep" / drum / "best" for drum in DRUMS},
        )

    def runs(self, registry, root):
        return {drum: f"run of {drum} {self.worktree.round}" for drum in DRUMS}

    def origin(self, root):
        return {"dose.dvc.tokens": f"md5 {self.worktree.round}", "dose.git_dirty": "true"}

    def wants_bento(self, root):
        return True

    def build_bento(self, path, bundle, labels):
        self.bentos.append(bundle.version)
        self.labels = labels
        return f"dose:{bundle.version}"

    def orchestrator(self):
        steps = ProjectSteps(
            self.settings, self, self.root,
            worktree=self.worktree, registry=self.registry, measure=self.measure,
        )  # fmt: skip
        home = self.root / "data" / "retrain"
        return Orchestrator(self.settings, steps, home, clock=lambda: self.now, free_bytes=lambda: 10**12)

    def start(self, **options):
        self.now += datetime.timedelta(hours=1)
        return self.orchestrator().start(**options)

    def live(self, drum):
        return (open_bundle(self.registry.live).checkpoint(drum) / "weights.safetensors").read_text()


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    assert made.start(force="the first").status == "promoted"
    return made


def test_the_first_models_go_into_service(project):
    assert project.live("kick") == "kick 1"
    assert project.registry.champions() == dict.fromkeys(DRUMS, 1)
    assert len(project.bentos) == 1


def test_twenty_new_sounds_and_a_better_kick(project):
    """Ingested, retrained, the kick promoted alone, and a Bento of the models in service."""
    project.sounds(20, 100)
    project.better = {"kick": 0.2}
    outcome = project.start()
    assert outcome.status == "promoted"
    assert "20 new sounds" in outcome.run.causes[0]
    assert [len(a["files"]) for a in project.worktree.batches.values()] == [20]
    assert (project.live("kick"), project.live("snare")) == ("kick 2", "snare 1")
    assert project.registry.aliases("kick") == {"champion": 2, "previous": 1}
    assert project.registry.aliases("snare") == {"champion": 1, "challenger": 2}
    assert project.bentos[-1] == open_bundle(project.registry.live).version
    version = project.tracker.version("dose-kick", 2)
    assert version.tags["dose.retrain"] == outcome.run.id
    assert version.tags["mlflow.source.git.commit"] == "decaf"
    assert version.tags["dose.git_dirty"] == "false"
    assert version.tags["dose.dvc.tokens"] == "md5 2"
    assert version.run_id == "run of kick 2"
    assert project.labels == {"dose-kick": "2", "dose-snare": "1", "dose-hihat": "1"}
    report = (project.orchestrator().folder(outcome.run) / "report.md").read_text()
    assert "| kick | spectral |" in report
    assert "Against the snare" in report
    assert "sounds/champion/1-kick.flac" in report
    page = (project.orchestrator().folder(outcome.run) / "report.html").read_text()
    assert "<th></th><th>champion</th><th>challenger</th>" in page
    assert 'src="sounds/challenger/1-kick.flac"' in page
    assert project.registry.history()[-1].reason == f"retraining {outcome.run.id} passed the gate"
    assert not project.worktree.path.exists()
    assert project.start(force="again").status == "nothing to do"


def test_an_equal_kit_is_not_promoted_and_builds_no_bento(project):
    project.sounds(20, 100)
    assert project.start().status == "kept"
    assert project.live("kick") == "kick 1"
    assert len(project.bentos) == 1


def test_drift_is_measured_from_what_the_models_in_service_were_trained_on(project, monkeypatch):
    asked = []

    def of_training(params, sources):
        assert params.parent.is_dir()  # the worktree still stands
        asked.append(params)
        return {"mean": [float(len(asked))] * 32, "spread": [1.0] * 32}

    monkeypatch.setattr(drift_reference, "of_training", of_training)
    project.settings = dataclasses.replace(project.settings, triggers=Triggers(new_clips=20, drift=1.0))
    project.sounds(20, 100)
    assert project.start().status == "kept"
    assert asked == []
    project.sounds(20, 300)
    project.better = {"kick": 0.2}
    assert project.start().status == "promoted"
    assert project.orchestrator().trigger_inputs().reference.mean[0] == 1.0


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_around_any_phase_ends_in_the_same_place(project, phase, when, monkeypatch):
    project.sounds(20, 100)
    project.better = {"kick": 0.2}
    real = ProjectSteps.run_phase

    def killed(self, name, run, folder):
        if name == phase and when == "after":
            real(self, name, run, folder)
        if name == phase:
            raise Killed
        return real(self, name, run, folder)

    monkeypatch.setattr(ProjectSteps, "run_phase", killed)
    with pytest.raises(Killed):
        project.start()
    assert project.live("snare") == "snare 1"  # servable at once
    monkeypatch.undo()
    assert project.start().status == "promoted"
    assert project.registry.aliases("kick") == {"champion": 2, "previous": 1}
    assert [len(project.tracker.versions(f"dose-{d}")) for d in DRUMS] == [2, 2, 2]
    assert len(set(project.bentos)) == 2
    assert len([m for m in project.registry.history() if m.action == "promote"]) == 1
    assert not project.worktree.path.exists()
    assert project.start().status == "idle"


def test_a_run_is_resumed_when_the_store_is_reachable_again(project):
    project.sounds(20, 100)
    project.better, project.tracker.unreachable = {"kick": 0.2}, True
    with pytest.raises(Exception, match="MLflow is unreachable"):
        project.start()
    assert project.live("kick") == "kick 1"
    project.tracker.unreachable = False
    measured = len(project.measured)
    assert project.start().status == "promoted"
    assert len(project.measured) == measured  # nothing was scored again


def test_scores_from_before_a_kill_are_reused(project, monkeypatch):
    project.sounds(20, 100)
    real = project.measure

    def measure(bundle, *args):
        if bundle.name != "challenger":
            raise Killed
        return real(bundle, *args)

    project.measure = measure
    with pytest.raises(Killed):
        project.start()
    project.measure = real
    project.measured.clear()
    project.start()
    assert "challenger" not in project.measured


def test_an_abandoned_run_leaves_no_worktree_and_no_open_run(project):
    project.sounds(20, 100)
    project.measure = None  # every attempt fails
    for _ in range(2):
        with pytest.raises(DoseError):
            project.start()
    tracker, commit = project.tracker, "c0ffee"
    tracker.open = [RunRecord(id=s, name=s, status=s, tags={}, params={}, metrics={}) for s in STATUSES]
    assert project.start().status == "failed"
    assert tracker.asked == {"mlflow.source.git.commit": commit}
    assert tracker.ended == [("RUNNING", "KILLED")]
    assert not project.worktree.path.exists()
    assert project.live("kick") == "kick 1"


def test_sounds_without_a_licence_stop_the_run(project):
    project.sounds(20, 100)
    (project.root / "incoming" / "licence.yaml").unlink()
    with pytest.raises(Exception, match=r"licence\.yaml is missing") as e:
        project.start()
    assert isinstance(e.value.__cause__, MissingInputError)


def test_the_data_key_depends_on_data_and_params_and_not_on_ingestion(project):
    project.sounds(3, 200)
    steps = project.orchestrator().steps
    audio.write(project.root / "incoming" / "kick" / "silent.wav", np.zeros(9000, np.float32))
    before = steps.data_key()
    assert steps.new_sounds() == 4
    steps.run_phase("ingest", run_state.new_run("key", [], project.now), project.root / "x")
    assert steps.new_sounds() == 0
    assert steps.data_key() == before
    (project.root / "params.yaml").write_text("sources: {seed: 1}")
    assert steps.data_key() != before
