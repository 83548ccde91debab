import numpy as np
import pytest

from dose.codec import bundled_codec
from dose.tokens.shards import Index, write_index, write_shard

PROMPT = {"kind": "hits", "hits": 3, "seconds": 0.35}


@pytest.fixture
def project(own_store):
    """A project root with an MLflow database and token indexes that no stub reads."""
    for split in ("train", "val"):
        folder = own_store / "data" / "tokens" / split
        entry = write_shard(folder, 0, {"kick": np.zeros((2, 9, 87), np.int64)}, "key")
        write_index(folder, Index(codec_id="codec-x", data_id="data-x", prompt=PROMPT, shards=(entry,)))
    (own_store / "data" / "codec").mkdir()
    return own_store


@pytest.fixture
def material(tmp_path):
    """tokens/ and codec/ as the stages leave them, with random codes in the place of drums."""
    codec = bundled_codec()
    codec.save(tmp_path / "codec")
    random = np.random.default_rng(1)
    for split, n in (("train", 64), ("val", 12)):
        arrays = {
            "kick": random.integers(0, codec.N, (n, codec.K, 87)),
            "prompt_kick": random.integers(0, codec.N, (n, codec.K, 93)),
        }
        entry = write_shard(tmp_path / "tokens" / split, 0, arrays, "key")
        index = Index(codec_id=codec.id, data_id="d", prompt=PROMPT, shards=(entry,))
        write_index(tmp_path / "tokens" / split, index)
    return tmp_path
