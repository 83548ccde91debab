"""The feedback log: empty unless the settings allow it, never audio, in the form that the triggers read."""

import json

import numpy as np
import pytest
from server import ROOT

import serving.feedback
from dose import files
from dose.dsp.mel import BANDS, mel_magnitudes
from dose.extract.drift import features, reference
from dose.retrain.orchestrator import FEEDBACK_LOG, HOME
from dose.retrain.triggers import DriftReference, drift_distance, read_feedback


@pytest.fixture
def log_file(monkeypatch, tmp_path):
    monkeypatch.setattr(serving.feedback, "ROOT", tmp_path)
    assert serving.feedback.FILE == HOME / FEEDBACK_LOG
    return tmp_path / serving.feedback.FILE


def run(client, loop):
    """An extraction, a song, and a re-roll of it."""
    assert client.post("/extract", content=loop).status_code == 200
    job = client.post("/jobs", content=loop).json()["id"]
    wait(client, job)
    wait(client, client.post(f"/jobs/{job}/reroll?drums=kick&seed=1").json()["id"])


def wait(client, job):
    while client.get(f"/jobs/{job}").json()["state"] in ("queued", "running"):
        pass


def test_nothing_is_logged_by_default(served, loop, log_file):
    with served() as client:
        run(client, loop)
    assert not log_file.exists()


def test_quality_has_no_features(served, loop, log_file):
    with served(feedback="quality") as client:
        run(client, loop)
    signals = read_feedback(log_file)
    assert [s.reroll for s in signals] == [False, False, True]
    assert [s.confidence for s in signals] == [0.9] * 3
    assert all(s.features == () for s in signals)
    assert set(json.loads(log_file.read_text().splitlines()[0])) == {"confidence", "reroll"}


def test_features_can_be_read_by_the_trigger(served, loop, log_file):
    with served(feedback="features") as client:
        run(client, loop)
    signals = read_feedback(log_file)
    assert [len(s.features) for s in signals] == [BANDS] * 3


def test_features_know_no_gain_and_tell_sounds_apart(tmp_path):
    rng = np.random.default_rng(0)
    noises = [rng.normal(0, 0.1, 44100).astype(np.float32) for _ in range(12)]
    dull = [np.convolve(n, np.ones(40) / 40)[:44100].astype(np.float32) for n in noises]
    mine = [features(mel_magnitudes(n)) for n in noises]
    assert np.allclose(features(mel_magnitudes(noises[0] * 0.1)), mine[0], atol=0.01)
    files.write_json(tmp_path / "reference.json", reference(mine))
    told = files.read_json(tmp_path / "reference.json")
    known = DriftReference(mean=tuple(told["mean"]), spread=tuple(told["spread"]))
    near = drift_distance(np.stack(mine[:6]), known)
    far = drift_distance(np.stack([features(mel_magnitudes(d)) for d in dull]), known)
    assert near < 1 < 10 < far


def test_the_reference_is_written_by_a_command(monkeypatch, tmp_path, capsys):
    """With made-up mixes in the place of RMOD's."""
    import types

    import dose.rmod.dataset
    import dose.sources.library
    from dose import cli

    rng = np.random.default_rng(0)
    mixes = [types.SimpleNamespace(mix=rng.normal(0, 0.1, (2, 88200)).astype(np.float32)) for _ in range(4)]
    asked = []
    monkeypatch.setattr(dose.sources.library.SampleLibrary, "load", lambda folder: "bank")
    monkeypatch.setattr(dose.rmod.dataset, "stream", lambda *what: asked.append(what[2:]) or mixes)
    out = tmp_path / "retrain" / "reference.json"
    params = str(ROOT / "params.yaml")
    assert cli.main(["bundle", "reference", "--mixes", "4", "--out", str(out), "--params", params]) == 0
    assert asked == [("train", 0, 4)]
    told = files.read_json(out)
    assert len(told["mean"]) == len(told["spread"]) == BANDS
    assert "4 training mixes" in capsys.readouterr().out
