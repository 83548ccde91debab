import shutil

import numpy as np
import pytest

from dose.tokens.shards import Index, write_index, write_shard
from dose.tracking import Tracker


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    Tracker("nothing", uri=f"sqlite:///{root / 'mlflow.db'}", root=root).ensure_store()
    return root


@pytest.fixture
def project(empty_store, tmp_path, monkeypatch):
    """A project root with an MLflow database and token indexes that no stub reads."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    shutil.copy(empty_store / "mlflow.db", tmp_path / "mlflow.db")
    for split in ("train", "val"):
        folder = tmp_path / "data" / "tokens" / split
        entry = write_shard(folder, 0, {"kick": np.zeros((2, 9, 87), np.int64)}, "key")
        prompt = {"kind": "hits", "hits": 3, "seconds": 0.35}
        write_index(folder, Index(codec_id="codec-x", data_id="data-x", prompt=prompt, shards=(entry,)))
    (tmp_path / "data" / "codec").mkdir()
    return tmp_path
