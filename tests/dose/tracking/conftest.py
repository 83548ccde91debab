import shutil

import pytest

from dose.tracking import Tracker


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A project root whose mlflow.db is made once: the migrations take seconds."""
    root = tmp_path_factory.mktemp("store")
    Tracker("nothing", uri=f"sqlite:///{root / 'mlflow.db'}", root=root).ensure_store()
    return root


@pytest.fixture
def tracker(empty_store, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store / "mlflow.db", tmp_path / "mlflow.db")
    tracker = Tracker("dose-test", root=tmp_path)
    tracker.ensure_store()
    return tracker
