"""Fixtures that more than one room uses."""

import os
import shutil
import tempfile

import hypothesis
import pytest
from servers import postgres  # noqa: F401 - a fixture

from dose.tracking import Tracker


def pytest_configure(config):
    """What the tests' own processes and those that they start have in common."""
    # The code under test, whichever tree is installed.
    search = [str(config.rootpath / "src"), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, search))
    # Rates that one run measured on a busy machine must not decide for the user, nor for the next run.
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="dose-tests-")
    _own_numba_cache(config)
    # Property tests: the same examples in every run, and no deadline, which would measure the machine's load.
    hypothesis.settings.register_profile("dose", deadline=None, derandomize=True, database=None)
    hypothesis.settings.load_profile("dose")


def pytest_unconfigure(config):
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def _own_numba_cache(config):
    """Each worker of xdist compiles for itself: numba keeps librosa's functions on disk, and in a fresh
    environment two workers that compiled the same one at once have crashed in what was half written."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        os.environ["NUMBA_CACHE_DIR"] = str(config.rootpath / ".pytest_cache" / f"numba-{worker}")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A project root whose mlflow.db is made once: its migrations take seconds."""
    root = tmp_path_factory.mktemp("store")
    Tracker("nothing", uri=f"sqlite:///{root / 'mlflow.db'}", root=root).ensure_store()
    return root


@pytest.fixture
def own_store(empty_store, tmp_path, monkeypatch):
    """`tmp_path` with an empty MLflow database of its own, which no server in the user's shell replaces."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shutil.copy(empty_store / "mlflow.db", tmp_path / "mlflow.db")
    return tmp_path
