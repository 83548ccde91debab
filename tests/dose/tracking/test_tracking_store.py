"""The adapter against a real SQLite store."""

import os
import pickle
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from dose.errors import DoseError, MissingInputError
from dose.files import write_manifest
from dose.tracking import DatasetInput, Tracker
from dose.tracking.sqlite import create_database
from dose.tracking.store import KIND_TAG


def folder_with(tmp_path, name, text):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "model.json").write_text(text)
    write_manifest(folder)
    return folder


def test_the_default_store_is_in_the_project_and_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Tracker("x", root=tmp_path).uri == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere:5000")
    assert Tracker("x", root=tmp_path).uri == "http://somewhere:5000"
    assert Tracker("x", uri="http://given", root=tmp_path).uri == "http://given"


def test_an_experiment_in_a_temporary_workspace_has_the_projects_store(tmp_path, monkeypatch):
    """Issue 21, 2: dvc deletes the workspace at the experiment's end, and its runs were gone with it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = tmp_path / "project" / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx"
    workspace.mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    monkeypatch.chdir(workspace)
    tracker = Tracker("x")
    assert tracker.uri == f"sqlite:///{tmp_path}/project/mlflow.db"
    assert tracker.root == tmp_path / "project"  # of the artifacts too
    # Only there: the stages of `dvc repro` have the variable as well, and may work for another folder.
    assert Tracker("x", root=tmp_path / "other").root == tmp_path / "other"
    monkeypatch.delenv("DVC_ROOT")
    assert Tracker("x").root == workspace


def test_a_run_is_found_again_by_its_key(tracker):
    parent = tracker.open_run("sweep", "kick")
    child = tracker.open_run("sweep/a", "trial a", parent=parent)
    tracker.end_run(child, "FINISHED")
    again = pickle.loads(pickle.dumps(tracker))
    assert again.find_run("sweep/a").status == "FINISHED"
    assert again.open_run("sweep/a", "trial a", parent=parent) == child
    found = again.find_run("sweep/a")
    assert (found.status, found.tags["mlflow.parentRunId"]) == ("RUNNING", parent)
    assert len(list(again.runs({}))) == 2


def test_the_ui_opens_an_experiment_as_model_training(tracker):
    """Issue 21, 5: MLflow took it for an application of language models. Also one of an earlier release."""
    assert tracker.client.get_experiment(tracker.experiment_id).tags == KIND_TAG
    old = tracker.client.create_experiment("old", tags={"mine": "kept"})
    assert Tracker("old", uri=tracker.uri, root=tracker.root).experiment_id == old
    assert tracker.client.get_experiment(old).tags == {"mine": "kept", **KIND_TAG}


def test_a_run_has_its_data_and_models_as_inputs(tracker, tmp_path):
    trained = tracker.open_run("training", "training")
    made = tracker.log_model(trained, "dose-kick", folder_with(tmp_path, "a", "{}"), {"dose.hash": "aa"})
    assert tracker.logged_models(["aa", "unknown"]) == [made]
    run = tracker.open_run("evaluation", "evaluation")
    data = DatasetInput(
        name="rmod", digest=f"{'0' * 32}.dir", path="data/rmod", context="evaluation", items=16
    )
    for _ in range(2):  # after a lost response
        tracker.log_inputs(run, [data], [made])
    inputs = tracker.client.get_run(run).inputs
    [dataset] = inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("rmod", data.digest)
    assert {t.key: t.value for t in dataset.tags} == {"mlflow.data.context": "evaluation"}
    assert [m.model_id for m in inputs.model_inputs] == [made]


def test_repeating_a_request_leaves_no_duplicates(tracker):
    run = tracker.open_run("k", "n")
    rows = [(1, 1000, {"val/loss": 3.0}), (2, 2000, {"val/loss": 2.0, "val/mss": 1.0})]
    tracker.log_metrics(run, rows)
    tracker.log_metrics(run, rows)
    assert tracker.curve(run, "val/loss") == [(1, 3.0), (2, 2.0)]
    assert tracker.last_steps(run) == {"val/loss": 2, "val/mss": 2}


def test_more_metrics_than_the_limit_of_one_request(tracker):
    run = tracker.open_run("k", "n")
    tracker.log_metrics(run, [(i, i, {"a": i, "b": -i}) for i in range(600)])
    assert tracker.curve(run, "b") == [(i, float(-i)) for i in range(600)]


def test_a_folder_is_registered_once_per_hash(tracker, tmp_path):
    first, second = folder_with(tmp_path, "a", "{}"), folder_with(tmp_path, "b", '{"x": 1}')
    one = tracker.register("dose-kick", first, hash="aa", tags={"drum": "kick"})
    assert tracker.register("dose-kick", first, hash="aa", tags={"drum": "kick"}) == one
    two = tracker.register("dose-kick", second, hash="bb", tags={"drum": "kick"})
    assert [v.version for v in tracker.versions("dose-kick")] == [1, 2]
    tracker.set_alias("dose-kick", "champion", one.version)
    tracker.set_alias("dose-kick", "champion", two.version)
    tracker.set_alias("dose-kick", "previous", one.version)
    assert tracker.aliases("dose-kick") == {"champion": 2, "previous": 1}
    tracker.set_alias("dose-kick", "previous", None)
    assert tracker.aliases("dose-kick") == {"champion": 2}
    tracker.download("dose-kick", 2, tmp_path / "got")
    assert (tmp_path / "got" / "model.json").read_text() == '{"x": 1}'


def test_an_unknown_model_is_no_error_and_an_unknown_version_is(tracker):
    assert tracker.aliases("dose-cowbell") == {}
    assert tracker.versions("dose-cowbell") == []
    with pytest.raises(MissingInputError, match="no version 3 of the model dose-cowbell"):
        tracker.version("dose-cowbell", 3)


def test_an_unreachable_store_is_one_sentence(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DoseError, match=r"http://127.0.0.1:9 cannot be used .* unset MLFLOW_TRACKING_URI"):
        Tracker("x", uri="http://127.0.0.1:9").ensure_store()


def test_importing_the_package_does_not_import_mlflow():
    code = "import sys, dose.tracking; assert not {'mlflow', 'torch', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))


def test_a_database_that_another_process_made_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    real = MlflowClient.search_experiments

    def slow(self, *args, **options):
        (tmp_path / "mlflow.db").write_text("the other's")
        return real(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_experiments", slow)
        create_database(tmp_path / "mlflow.db")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("mlflow.db", "the other's")]


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b", "a b é", "a&b=c", "100%"])
def test_a_project_may_lie_anywhere(tmp_path, monkeypatch, name):
    """Issue 17, 12: % and ? mean something in a database's address: 120 s of retries, or a file elsewhere."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / name
    root.mkdir()
    tracker = Tracker("dose", root=root)
    tracker.ensure_store()
    run = tracker.open_run("k", "n")
    (tmp_path / "note.txt").write_text("hello")
    tracker.log_artifacts(run, tmp_path / "note.txt")
    tracker.register("dose-kick", folder_with(root, "a", "{}"), hash="aa", tags={})
    tracker.download("dose-kick", 1, root / "got")
    assert (root / "got" / "model.json").read_text() == "{}"
    assert Tracker("dose", root=root).find_run("k").id == run
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "note.txt"])
    assert sorted(p.name for p in root.iterdir()) == ["a", "got", "mlartifacts", "mlflow.db"]


def test_a_database_that_cannot_be_opened_fails_at_once_with_its_cause(tmp_path, monkeypatch):
    """The advice was to unset a variable that was not set."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").mkdir()
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waits for what cannot change"))
    with pytest.raises(DoseError, match=r"mlflow\.db cannot be used .* see that .* can be written") as e:
        Tracker("x", root=tmp_path).ensure_store()
    assert "MLFLOW_TRACKING_URI" not in str(e.value)
