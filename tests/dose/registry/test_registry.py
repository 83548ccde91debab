"""Versions, aliases, the live link and the audit log, on a real SQLite store with bundles of tiny models."""

import json
import os
import shutil

import numpy as np
import pytest
import tiny_bundle
from drum_sounds import RATE, mix

from dose import files
from dose.bundle import assemble, open_bundle
from dose.errors import DoseError, IntegrityError, MissingInputError
from dose.extract import Extractor
from dose.registry.audit import AliasChange
from dose.registry.names import model_name
from dose.registry.registry import Registry
from dose.tracking import Tracker


@pytest.fixture
def registry(own_store):
    return Registry(root=own_store)


def make_bundle(root, weights, drums=("kick", "snare", "hihat"), codec="codec-1"):
    """A bundle whose models are a few bytes: the registry moves files and never looks into them."""
    folder = root / f"made-{weights}-{codec}"
    (folder / "codec").mkdir(parents=True)
    files.write_json(folder / "codec" / "codec.json", {"id": codec})
    for drum in drums:
        (folder / drum).mkdir()
        (folder / drum / "weights.safetensors").write_text(f"{weights} {drum}")
        files.write_json(folder / drum / "model.json", {"meta": {"codec_id": codec, "drum": drum}})
    return assemble(
        folder / "bundle",
        codec=folder / "codec",
        checkpoints={d: folder / d for d in drums},
        metrics={d: {"mss": 1.0} for d in drums},
    )


def live_weights(registry, drum):
    return (open_bundle(registry.live).checkpoint(drum) / "weights.safetensors").read_text()


def test_the_registry_of_an_experiment_is_beside_its_store(tmp_path, monkeypatch):
    """An alias in the project's store would otherwise have its audit entry in a workspace that is deleted."""
    workspace = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx"
    workspace.mkdir(parents=True)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(workspace)
    registry = Registry()
    assert registry.tracker.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert registry.home == tmp_path / "data" / "registry"


def test_the_first_version_is_champion_and_live(registry, tmp_path):
    versions = registry.register(make_bundle(tmp_path, "one"), tags={"dose.git_dirty": "false"})
    assert {d: v.version for d, v in versions.items()} == {"kick": 1, "snare": 1, "hihat": 1}
    assert registry.aliases("kick") == {"champion": 1}
    assert versions["kick"].tags["dose.git_dirty"] == "false"
    assert live_weights(registry, "snare") == "one snare"
    assert open_bundle(registry.live).metrics == {d: {"mss": 1.0} for d in ("kick", "snare", "hihat")}


def test_the_same_files_are_registered_once(registry, tmp_path):
    bundle = make_bundle(tmp_path, "one")
    registry.register(bundle, tags={})
    again = assemble(
        tmp_path / "again",
        codec=bundle.codec,
        checkpoints={d: bundle.checkpoint(d) for d in bundle.drums},
        metrics={},
        created="2000-01-01",
    )
    registry.register(again, tags={})
    assert [v.version for v in registry.versions("kick")] == [1]
    assert len(registry.history()) == 3


def test_challenger_promotion_and_rollback(registry, tmp_path):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    registry.register(make_bundle(tmp_path, "two"), tags={})
    assert registry.aliases("kick") == {"champion": 1, "challenger": 2}
    assert live_weights(registry, "kick") == "one kick"
    registry.promote({"kick": None}, reason="it sounds better")
    assert registry.aliases("kick") == {"champion": 2, "previous": 1}
    assert registry.aliases("snare") == {"champion": 1, "challenger": 2}
    assert live_weights(registry, "kick") == "two kick"
    assert live_weights(registry, "snare") == "one snare"
    registry.rollback(reason="it does not")
    assert registry.aliases("kick") == {"champion": 1, "previous": 2}
    assert live_weights(registry, "kick") == "one kick"
    registry.rollback(["kick"], reason="it does after all")
    assert registry.aliases("kick")["champion"] == 2
    changes = registry.history()
    assert [(c.action, c.drum, c.version) for c in changes[-3:]] == [
        ("promote", "kick", 2),
        ("rollback", "kick", 1),
        ("rollback", "kick", 2),
    ]
    assert changes[-3].reason == "it sounds better"
    assert all(c.by and c.time for c in changes)


def test_an_old_model_registered_again_is_no_challenger(registry, tmp_path):
    one = make_bundle(tmp_path, "one")
    registry.register(one, tags={})
    registry.register(make_bundle(tmp_path, "two"), tags={})
    registry.promote(dict.fromkeys(("kick", "snare", "hihat")), reason="new")
    registry.register(one, tags={})
    assert registry.aliases("kick") == {"champion": 2, "previous": 1}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda r: r.promote({"kick": None}, reason=""), MissingInputError, "no challenger"),
        (
            lambda r: r.promote({"kick": 7}, reason=""),
            MissingInputError,
            "no version 7 of the model dose-kick",
        ),
        (lambda r: r.promote({"kick": 1}, reason=""), DoseError, "champion already"),
        (lambda r: r.rollback(["kick"], reason=""), MissingInputError, "no earlier champion of kick"),
    ],
)
def test_an_impossible_change_is_refused_and_changes_nothing(registry, tmp_path, change, error, message):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    before = registry.history(), registry.aliases("kick")
    with pytest.raises(error, match=message):
        change(registry)
    assert (registry.history(), registry.aliases("kick")) == before


def test_drums_of_a_new_codec_are_promoted_together_or_not_at_all(registry, tmp_path):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    registry.register(make_bundle(tmp_path, "two", codec="codec-2"), tags={})
    with pytest.raises(IntegrityError, match="codec"):
        registry.promote({"kick": None}, reason="alone")
    assert registry.aliases("kick")["champion"] == 1
    registry.promote(dict.fromkeys(("kick", "snare", "hihat")), reason="together")
    assert open_bundle(registry.live).codec_id == "codec-2"


@pytest.mark.parametrize("calls_before_kill", [0, 1, 2, 3])
def test_a_killed_promotion_is_completed_by_the_next_change(
    registry, tmp_path, monkeypatch, calls_before_kill
):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    registry.register(make_bundle(tmp_path, "two"), tags={})
    left = [calls_before_kill]
    real = Tracker.set_alias

    def killed(self, *args):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        real(self, *args)

    monkeypatch.setattr(Tracker, "set_alias", killed)
    if calls_before_kill < 3:
        with pytest.raises(KeyboardInterrupt):
            registry.promote({"kick": None}, reason="killed")
    else:
        registry.promote({"kick": None}, reason="killed")
    monkeypatch.setattr(Tracker, "set_alias", real)
    registry.register(make_bundle(tmp_path, "one-b", drums=("snare",)), tags={})
    assert registry.aliases("kick") == {"champion": 2, "previous": 1}
    assert live_weights(registry, "kick") == "two kick"
    assert [c.reason for c in registry.history()].count("killed") == 1


def test_two_writers_at_once_are_refused(registry, tmp_path):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    other = Registry(registry.tracker, root=tmp_path)
    with registry._writing(), pytest.raises(DoseError, match="Another process"):
        other.promote({"kick": 1}, reason="")


def test_the_live_link_is_switched_in_one_step(registry, tmp_path):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    assert os.path.islink(registry.live)
    first = registry.live.resolve()
    registry.register(make_bundle(tmp_path, "two"), tags={})
    registry.promote({"kick": None}, reason="new")
    assert registry.live.resolve() != first
    open_bundle(first)  # a reader of the old bundle is not disturbed


def test_a_version_without_a_local_copy_is_downloaded_from_mlflow(registry, tmp_path):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    shutil.rmtree(registry.home / "versions")
    shutil.rmtree(registry.home / "bundles")
    registry.deploy()
    assert live_weights(registry, "hihat") == "one hihat"
    assert {p.name for p in (registry.home / "versions").iterdir()} == {
        model_name(d) for d in ("kick", "snare", "hihat")
    }


def test_the_audit_log_is_lines_of_json(registry, tmp_path):
    registry.register(make_bundle(tmp_path, "one", drums=("kick",)), tags={})
    (line,) = registry.audit.path.read_text().splitlines()
    assert AliasChange(**json.loads(line)).after == {"champion": 1}


def test_a_rollback_needs_no_mlflow_and_updates_it_later(registry, tmp_path, monkeypatch):
    registry.register(make_bundle(tmp_path, "one"), tags={})
    registry.register(make_bundle(tmp_path, "two"), tags={})
    registry.promote(dict.fromkeys(("kick", "snare", "hihat")), reason="new")
    seen = []

    class UnreachableTracker:
        def __getattr__(self, name):
            raise ConnectionError("MLflow is away")

    offline = Registry(UnreachableTracker(), root=tmp_path)
    with pytest.raises(DoseError, match="It is in service, but MLflow could not be updated"):
        offline.rollback(["kick"], reason="broken", on_switch=seen.extend)
    assert live_weights(registry, "kick") == "one kick"
    assert [c.drum for c in seen] == ["kick"]
    assert offline.history()[-1].action == "rollback"
    with pytest.raises(DoseError):  # a second one, on top of the pending change
        offline.rollback(["snare"], reason="broken too")
    assert live_weights(registry, "kick") == "one kick"
    assert live_weights(registry, "snare") == "one snare"
    assert registry.aliases("kick")["champion"] == 2
    registry.register(make_bundle(tmp_path, "three", drums=("hihat",)), tags={})
    assert registry.aliases("kick") == {"champion": 1, "previous": 2}
    assert registry.aliases("snare") == {"champion": 1, "previous": 2}
    assert live_weights(registry, "kick") == "one kick"
    assert [c.action for c in registry.history()].count("rollback") == 2


def test_mlflow_loads_a_registered_model_and_calls_it(registry, tmp_path, monkeypatch):
    """Issue 21, 5: the registry's models were folders of which MLflow knew nothing."""
    from mlflow import pyfunc

    bundle = open_bundle(tiny_bundle.make(tmp_path / "tiny"))
    registry.register(bundle, tags={})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracker.uri)
    model = pyfunc.load_model("models:/dose-kick@champion")
    sound, _ = mix(0)
    one_shot = model.predict(sound, params={"seed": 3})
    assert one_shot.dtype == np.float32
    assert one_shot.ndim == 1
    assert np.isfinite(one_shot).all()
    live = Extractor.load(registry.live).extract(sound, RATE, drums=("kick",), seed=3)
    assert np.array_equal(one_shot, live.best("kick").audio)
    with pytest.raises(Exception, match="shape"):
        model.predict(sound[0])
    found = registry.tracker.client.get_registered_model("dose-kick")
    assert "kick of a drum mix" in found.description
    version = registry.tracker.client.get_model_version("dose-kick", "1")
    assert bundle.version in version.description
    assert "codec " + bundle.codec_id in version.description
