"""Shards are read as they were written and refused when changed."""

import json

import numpy as np
import pytest

from dose.errors import IntegrityError, MissingInputError
from dose.tokens import shards


@pytest.fixture
def written(tmp_path):
    """Three shards of 5, 5 and 2 items, and what is in them."""
    rng = np.random.default_rng(0)
    kick = rng.integers(0, 1024, (12, 3, 7))
    prompt = rng.integers(0, 1024, (12, 3, 4))
    entries = []
    for n, cut in enumerate((slice(0, 5), slice(5, 10), slice(10, 12))):
        arrays = {"kick": kick[cut], "prompt_kick": prompt[cut]}
        entries.append(shards.write_shard(tmp_path / "train", n, arrays, "key"))
    index = shards.Index(codec_id="c", data_id="d", prompt={"hits": 1}, shards=tuple(entries))
    shards.write_index(tmp_path / "train", index)
    return tmp_path, kick, prompt


def test_any_items_are_read_back_in_any_order(written):
    root, kick, prompt = written
    tokens = shards.Tokens(root, "train")
    assert tokens.index.count == 12
    pick = np.array([11, 0, 5, 4, 9, 10, 0])
    for name, expected in (("kick", kick), ("prompt_kick", prompt)):
        codes = tokens.codes(name)
        assert codes.shape == expected.shape
        assert codes.select(pick).dtype == np.int64
        assert np.array_equal(codes.select(pick), expected[pick])
    assert isinstance(tokens.codes("kick").shards[0], np.memmap)


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_changed_byte_is_detected(written, shard):
    path = written[0] / "train" / shards.shard_name(shard) / "kick.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    tokens = shards.Tokens(written[0], "train")
    with pytest.raises(IntegrityError, match=shards.shard_name(shard)):
        tokens.codes("kick")
    tokens.codes("prompt_kick")


def test_a_truncated_or_missing_file_is_named(written):
    path = written[0] / "train" / "shard-00001" / "kick.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(IntegrityError, match="shard-00001"):
        shards.Tokens(written[0], "train").codes("kick")
    path.unlink()
    with pytest.raises(MissingInputError, match="shard-00001"):
        shards.Tokens(written[0], "train").codes("kick")


def test_missing_arrays_and_splits_are_named(written):
    with pytest.raises(MissingInputError, match="'mix'"):
        shards.Tokens(written[0], "train").codes("mix")
    with pytest.raises(MissingInputError, match="val"):
        shards.Tokens(written[0], "val")


def test_an_index_with_other_keys_is_refused(written):
    path = written[0] / "train" / "index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "extra": 1}))
    with pytest.raises(IntegrityError, match="keys"):
        shards.Tokens(written[0], "train")


def test_only_a_complete_shard_with_the_same_key_is_reused(written):
    folder = written[0] / "train"
    assert shards.finished_shard(folder, 0, "key", 5) is not None
    assert shards.finished_shard(folder, 0, "other", 5) is None
    assert shards.finished_shard(folder, 0, "key", 4) is None
    assert shards.finished_shard(folder, 7, "key", 5) is None
    (folder / "shard-00000" / "prompt_kick.npy").write_bytes(b"")
    assert shards.finished_shard(folder, 0, "key", 5) is None


@pytest.mark.parametrize("value", [-1, 1 << 16])
def test_codes_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, value):
    with pytest.raises(ValueError, match="16 bits"):
        shards.write_shard(tmp_path, 0, {"kick": np.full((1, 2, 3), value)}, "key")
    with pytest.raises(ValueError, match="one length"):
        shards.write_shard(tmp_path, 0, {"a": np.zeros((1, 2, 3)), "b": np.zeros((2, 2, 3))}, "key")
    assert not list(tmp_path.iterdir())
