"""`dose evaluate --transcription`: from a project's folder to tables, JSON and MLflow."""

import json

import mlflow
import pytest
import tiny_library
from drum_sounds import write_items

from dose import cli, files
from dose.commands import _evaluate_transcription
from dose.drums import DRUMS
from dose.evaluate.mlflow_runs import log_transcription
from dose.evaluate.transcription import systems
from dose.evaluate.transcription.presence import PresenceSystem


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project's folder with three test items, a sample library and nothing else; the baseline alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for dataset in ("test", "test_groove"):
        for item in write_items(tmp_path / "data/rmod/audio" / dataset, 3):
            files.write_json(item.mix.parent / "hits.json", {drum: [0.0, 1.0] for drum in DRUMS})
    tiny_library.make(tmp_path / "data/sources", splits=("test",), checked=True)
    monkeypatch.setattr(_evaluate_transcription, "_systems", lambda: ([systems.bands()], ["Made."]))
    deaf = PresenceSystem(name="Deaf", detect=lambda mono, drums: frozenset())
    monkeypatch.setattr(_evaluate_transcription, "_detectors", lambda: [deaf])
    monkeypatch.setattr(_evaluate_transcription, "MIN_DRUM_FREE", 10)
    return tmp_path


def test_all_data_sets_are_scored_and_the_last_line_is_json(here, capsys):
    assert cli.main(["evaluate", "--transcription", "--n", "2"]) == 0
    printed = capsys.readouterr().out
    out = here / "data/transcription_scores"
    assert (out / "transcription.md").read_text() in printed
    assert "groove-like, not GMD, 2 mixes" in printed
    short = json.loads(printed.splitlines()[-1])
    sets = ["rmod", "realistic", "realistic_drums", "groove", "drum_free", "single_drum", "presence"]
    assert list(short) == sets
    stored = json.loads((out / "transcription.json").read_text())
    assert stored["data_sets"]["drum_free"]["items"] == 10
    assert stored["notes"] == ["Made."]
    kick = stored["data_sets"]["rmod"]["systems"]["Onsets + bands (librosa)"]["kick"]["f_50ms"]
    assert kick["low"] <= kick["value"] <= kick["high"]


def test_chosen_data_sets_and_json(here, capsys):
    argv = ["evaluate", "--transcription", "--data", "rmod", "--n", "2", "--json", "--out", "scored"]
    assert cli.main(argv) == 0
    *document, last = capsys.readouterr().out.strip().splitlines()
    assert json.loads("\n".join(document)) == json.loads((here / "scored/transcription.json").read_text())
    assert list(json.loads(last)) == ["rmod"]
    assert not (here / "data/transcription_scores").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "rmod,nothing"], "'nothing'"),
        (["--data", ","], "must name some of"),
        (["--n", "1"], "at least 2"),
        (["--baselines"], "leave --transcription out"),
    ],
)
def test_contradicting_options_are_refused(here, capsys, options, message):
    assert cli.main(["evaluate", "--transcription", *options]) == 1
    assert message in capsys.readouterr().err


def test_missing_data_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", "--transcription", "--data", "rmod"]) == 1
    assert "dvc repro rmod" in capsys.readouterr().err
    assert cli.main(["evaluate", "--transcription", "--data", "drum_free"]) == 1
    assert "dvc repro sources" in capsys.readouterr().err


def test_the_help_teaches_the_data_sets(capsys):
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--help"])
    printed = capsys.readouterr().out
    for name in _evaluate_transcription.DATA:
        assert name in printed
    assert "dose evaluate --transcription" in printed


def test_each_system_is_a_run_in_mlflow(own_store):
    figure = {"value": 0.5, "n": 3, "low": 0.4, "high": 0.6}
    document = {
        "data_sets": {
            "rmod": {
                "title": "rmod",
                "items": 3,
                "systems": {"A": {"kick+snare+hihat": {"f_50ms": figure}}, "B": {"kick": {"f_50ms": figure}}},
            }
        },
        "notes": [],
    }
    out = own_store / "out"
    files.write_json(out / "transcription.json", document)
    runs = log_transcription(document, out, {"items": 3}, root=own_store)
    assert log_transcription(document, out, {"items": 3}, root=own_store) == runs  # found again
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{own_store / 'mlflow.db'}")
    stored = client.get_run(runs[0]).data
    assert stored.metrics == {
        "rmod/kick-snare-hihat/f_50ms": 0.5,
        "rmod/kick-snare-hihat/f_50ms_low": 0.4,
        "rmod/kick-snare-hihat/f_50ms_high": 0.6,
    }
    assert stored.tags["dose.system_name"] == "A"
    assert stored.params["items"] == "3"
