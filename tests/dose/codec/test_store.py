import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from dose import config
from dose.codec import bundled_codec, load_codec
from dose.codec.compact import CompactConfig
from dose.codec.fitting import FittingConfig
from dose.codec.store import BUNDLED
from dose.errors import ConfigError, IntegrityError, MissingInputError


@pytest.fixture
def folder(tmp_path):
    bundled_codec().save(tmp_path)
    return tmp_path


def refused(folder, word, kind=IntegrityError):
    with pytest.raises(kind, match=word):
        load_codec(folder)


def test_shipped_codec_is_small_and_carries_its_card():
    weights = BUNDLED / "weights.safetensors"
    assert weights.stat().st_size < 20e6
    card = (BUNDLED / "MODEL_CARD.md").read_text()
    for word in (bundled_codec().id, "Licences", "Scores", "--ship", "SI-SDR"):
        assert word in card


def test_truncated_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    refused(folder, "truncated")


def test_missing_weights(folder):
    (folder / "weights.safetensors").unlink()
    refused(folder, "is missing", MissingInputError)


def test_a_pickle_is_not_opened(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for data in (pickle.dumps(Evil()), pickle.dumps(Evil(), protocol=2)):
        (folder / "weights.safetensors").write_bytes(data)
        refused(folder, "pickle")
    torch.save({"x": Evil()}, folder / "weights.safetensors")
    refused(folder, "pickle")
    assert not (tmp_path / "owned").exists()


def tamper(folder, change):
    path = folder / "weights.safetensors"
    tables = load_file(path)
    change(tables)
    save_file({k: v.contiguous() for k, v in tables.items()}, path)


def test_one_changed_number_is_noticed(folder):
    tamper(folder, lambda t: t["wave"][0, 5, 5].add_(1e-3))
    refused(folder, "belong to codec")


def test_weights_of_another_size(folder):
    tamper(folder, lambda t: t.update(wave=t["wave"][:, :512]))
    refused(folder, "shape")


def test_missing_and_left_over_tables(folder):
    tamper(folder, lambda t: t.pop("noise"))
    refused(folder, "noise")


def test_numbers_that_are_not_finite(folder):
    tamper(folder, lambda t: t["envelope"][0, 3].fill_(float("nan")))
    refused(folder, "finite")


@pytest.mark.parametrize(
    ("key", "value", "word", "kind"),
    [
        ("kind", "mp3", "unknown codec kind", IntegrityError),
        ("id", None, "does not describe", IntegrityError),
        ("id", "0" * 16, "belong to codec", IntegrityError),
        ("config", {}, "lacks keys", ConfigError),
    ],
)
def test_codec_json_that_lies(folder, key, value, word, kind):
    meta = json.loads((folder / "codec.json").read_text())
    (folder / "codec.json").write_text(json.dumps(meta | {key: value}))
    refused(folder, word, kind)


def test_settings_have_their_stored_names_in_codec_json_and_old_names_in_params_are_read(folder):
    meta = json.loads((folder / "codec.json").read_text())
    shipped = json.loads((BUNDLED / "codec.json").read_text())
    assert meta["config"] == shipped["config"]
    assert set(meta["config"]) >= {"wave", "gamma", "jump_db", "jumps", "shapes", "detail", "air", "beam"}
    renamed = config.parse(CompactConfig, meta["config"], "params.yaml: codec.compact", announce=False)
    assert renamed == bundled_codec().config
    assert (
        config.parse(FittingConfig, {"rounds": 1, "sweeps": 3, "frames": 2000, "seed": 0}, "").joint_refits
        == 3
    )
