"""Stage transcription: the shipped network, or one trained here, whole or not at all, and logged."""

import dataclasses
import json
import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from dose import config, files
from dose.errors import DoseError
from dose.rmod import RmodConfig
from dose.tracking.store import Tracker
from dose.transcription import network
from dose.transcription.config import SecondPassConfig, TrainConfig, TranscriptionConfig
from dose.transcription.data import Shard
from dose.transcription.front_end import BANDS
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.second_pass.features import COUNT
from dose.transcription.second_pass_training.rows import Rows
from pipelines import transcription as stage

TRAIN = TrainConfig(
    mixes=4,
    val=2,
    paper_share=0.0,
    init="random",
    steps=4,
    batch=2,
    lr=0.01,
    ema=0.5,
    evaluate_every=2,
    workers=1,
    seed=0,
)
SECOND_PASS = SecondPassConfig(mixes=2, val=1, epochs=1)


def section(**values) -> TranscriptionConfig:
    return TranscriptionConfig(
        **{"source": "train", "train": TRAIN, "second_pass": SECOND_PASS, "log": False} | values
    )


def rows(count: int) -> Rows:
    rng = np.random.default_rng(count)
    return Rows(
        x=rng.normal(size=(count, COUNT)).astype(np.float32),
        cls=(np.arange(count) % len(HIT_CLASSES)).astype(np.int8),
        correct=rng.random(count) < 0.5,
        counted=np.ones(count, bool),
        references=np.full(len(HIT_CLASSES), count // 14),
    )


def shard(mixes: int) -> Shard:
    rng = np.random.default_rng(mixes)
    return Shard(
        features=rng.normal(size=(mixes, BANDS, 420)).astype(np.float16),
        mix=np.arange(mixes, dtype=np.int32),
        cls=np.zeros(mixes, np.int8),
        seconds=np.full(mixes, 1.0, np.float32),
        velocity=np.full(mixes, 90, np.uint8),
        audible=np.ones(mixes, bool),
    )


@pytest.fixture
def project(own_store, monkeypatch):
    """An empty project; rendering is replaced by random features, whose calls are counted."""
    monkeypatch.chdir(own_store)
    calls = []

    def write_shards(source, library, split, count, folder, *, workers):
        calls.append((split, count))
        return [(split, count)]

    monkeypatch.setattr(stage, "write_shards", write_shards)
    monkeypatch.setattr(stage, "read_shards", lambda paths: shard(paths[0][1]))
    monkeypatch.setattr(
        stage, "write_rows", lambda net, source, library, split, count, folder, *, workers: count
    )
    monkeypatch.setattr(stage, "read_rows", lambda count: rows(70 * count))
    monkeypatch.setattr(stage, "data_key", lambda source, library: "data")
    clips = [types.SimpleNamespace(licence="CC0-1.0", split="train")]
    library = types.SimpleNamespace(id="library", clips=clips)
    monkeypatch.setattr(stage.SampleLibrary, "load", lambda path: library)
    sections = {"transcription": section(log=True), "rmod": None}
    rmod = config.load("rmod", RmodConfig, Path(__file__).parents[2] / "params.yaml")
    monkeypatch.setattr(stage.config, "load", lambda name, cls: rmod if name == "rmod" else sections[name])
    return types.SimpleNamespace(root=own_store, sections=sections, calls=calls)


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["transcription", *arguments])
    stage.main()


def test_the_bundled_network_is_copied(project, monkeypatch):
    project.sections["transcription"] = section(source="bundled")
    run(monkeypatch)
    for name in (network.WEIGHTS, network.CARD):
        assert (stage.OUT / name).read_bytes() == (network.BUNDLED / name).read_bytes()
    assert (stage.OUT / "manifest.json").is_file()
    assert project.calls == []


def test_a_training_is_stored_described_and_logged(project, monkeypatch):
    run(monkeypatch)
    card = json.loads((stage.OUT / network.CARD).read_text())
    assert (card["steps"], card["mixes"], card["library"]) == (4, 4, "library")
    assert card["licences"] == ["CC0-1.0"]
    assert set(card["val"]) == {f"val/f_{name}" for name in HIT_CLASSES}
    assert network.load(stage.OUT)(torch.zeros(1, BANDS, 10))[0].shape == (1, 7, 10)
    assert not stage.STATE.exists()
    [run_found] = Tracker("dose-transcription").client.search_runs(
        [Tracker("dose-transcription").client.get_experiment_by_name("dose-transcription").experiment_id]
    )
    assert run_found.info.status == "FINISHED"
    assert {"train/loss", "val/f_kick"} <= set(run_found.data.metrics)


def test_a_killed_training_goes_on_and_other_settings_start_anew(project, monkeypatch):
    run(monkeypatch)
    whole = (stage.OUT / network.WEIGHTS).read_bytes()

    original, steps = stage.scores, []

    def killed(net, val):
        steps.append(1)
        if len(steps) == 2:
            raise DoseError("killed")
        return original(net, val)

    monkeypatch.setattr(stage, "scores", killed)
    with pytest.raises(DoseError, match="killed"):
        run(monkeypatch)
    assert (stage.OUT / network.WEIGHTS).read_bytes() == whole  # not half replaced
    kept = list(stage.STATE.iterdir())
    assert len(kept) == 1
    monkeypatch.setattr(stage, "scores", original)
    run(monkeypatch)
    assert (stage.OUT / network.WEIGHTS).read_bytes() == whole
    # The state of other settings is deleted.
    other = stage.STATE / "old"
    other.mkdir(parents=True)
    changed = dataclasses.replace(TRAIN, seed=1)
    project.sections["transcription"] = section(train=changed)
    run(monkeypatch)
    assert not other.exists()
    assert (stage.OUT / network.WEIGHTS).read_bytes() != whole


def test_a_training_may_go_on_from_the_packages_network(project, monkeypatch):
    still = dataclasses.replace(TRAIN, init="bundled", lr=1e-12)
    project.sections["transcription"] = section(train=still)
    run(monkeypatch)
    trained, shipped = network.load(stage.OUT), network.load(network.BUNDLED)
    for (name, a), (_, b) in zip(trained.named_parameters(), shipped.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    card = json.loads((stage.OUT / network.CARD).read_text())
    assert card["init"] == files.sha256(network.BUNDLED / network.WEIGHTS)


def test_ship_replaces_the_packages_network(project, monkeypatch, tmp_path):
    monkeypatch.setattr(network, "BUNDLED", tmp_path / "bundled")
    (tmp_path / "bundled").mkdir()
    project.sections["transcription"] = section(source="bundled")
    run(monkeypatch, "--ship")
    assert (tmp_path / "bundled" / network.WEIGHTS).read_bytes() == (stage.OUT / network.WEIGHTS).read_bytes()
    assert network.load(tmp_path / "bundled")
    assert network.load(tmp_path / "bundled").second_pass is not None


def test_the_second_pass_may_be_fitted_anew_alone(project, monkeypatch, tmp_path):
    bundled = tmp_path / "bundled"
    shutil.copytree(network.BUNDLED, bundled)
    (bundled / "second_pass.safetensors").unlink(missing_ok=True)
    weights = (bundled / network.WEIGHTS).read_bytes()
    monkeypatch.setattr(network, "BUNDLED", bundled)
    run(monkeypatch, "--ship", "second-pass")
    assert project.calls == []  # nothing was rendered for the network
    assert (bundled / network.WEIGHTS).read_bytes() == weights
    assert network.load(bundled).second_pass is not None
    assert json.loads((bundled / network.CARD).read_text())["second_pass"]["mixes"] == SECOND_PASS.mixes
