"""Checkpoints: what is saved is what is loaded, and nothing else is believed."""

import json

import pytest
import torch

from dose import files
from dose.errors import ConfigError, DoseError, IntegrityError, MissingInputError
from dose.model import checkpoint
from dose.model.config import ModelConfig
from dose.model.transformer import DoseModel

CONFIG = ModelConfig(
    layers=1,
    width=16,
    heads=2,
    codebooks=3,
    entries=20,
    frames=8,
    excerpts=2,
    aligned="also",
    drums=("a", "b"),
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = DoseModel(CONFIG)
    checkpoint.save(tmp_path / "kick", model, {"drum": "kick", "steps": 3})
    return tmp_path / "kick", model


def test_what_is_saved_is_loaded(saved):
    folder, model = saved
    loaded = checkpoint.load(folder)
    assert loaded.meta == {"drum": "kick", "steps": 3}
    assert loaded.model.config == CONFIG
    assert not loaded.model.training
    for name, p in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], p)


def test_half_precision_halves_the_file_and_rounds(saved, tmp_path):
    folder, model = saved
    checkpoint.save(tmp_path / "half", model, {}, number_format="bf16")
    sizes = [(f / checkpoint.WEIGHTS).stat().st_size for f in (folder, tmp_path / "half")]
    assert sizes[1] < 0.6 * sizes[0]
    weight = checkpoint.load(tmp_path / "half").model.head.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, model.head.weight.bfloat16().float())


def test_a_changed_byte_is_found(saved):
    path = saved[0] / checkpoint.WEIGHTS
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(IntegrityError, match=r"weights\.safetensors"):
        checkpoint.load(saved[0])


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.CARD])
def test_a_missing_file_is_named(saved, name):
    (saved[0] / name).unlink()
    with pytest.raises(MissingInputError, match=name.replace(".", r"\.")):
        checkpoint.load(saved[0])


def _edit(folder, change) -> None:
    path = folder / checkpoint.CARD
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["config"].pop("heads"),
        lambda card: card["config"].update(colour="red"),
        lambda card: card["config"].update(heads=3),
        lambda card: card["config"].update(positions="sideways"),
        lambda card: card.pop("meta"),
        lambda card: card.update(extra=1),
        lambda card: card["weights"].pop("sha256"),
        lambda card: card["config"].update(layers=2),
        lambda card: card["config"].update(width=32),
        lambda card: card["config"].update(aligned="no"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved, change):
    _edit(saved[0], change)
    with pytest.raises((ConfigError, IntegrityError), match=r"model\.json|weights"):
        checkpoint.load(saved[0])


@pytest.mark.parametrize("kind", ["missing", "extra"])
def test_missing_and_left_over_tensors_are_named(saved, kind):
    import safetensors.torch

    path = saved[0] / checkpoint.WEIGHTS
    state = safetensors.torch.load_file(path)
    if kind == "missing":
        del state["head.bias"]
    else:
        state["head.colour"] = torch.zeros(1)
    safetensors.torch.save_file(state, path)
    _edit(saved[0], lambda card: card["weights"].update(sha256=files.sha256(path)))
    with pytest.raises(IntegrityError, match=r"head\.(bias|colour)"):
        checkpoint.load(saved[0])


def test_a_card_that_is_no_json_is_one_sentence(saved):
    (saved[0] / checkpoint.CARD).write_text("{")
    with pytest.raises(DoseError, match=r"model\.json"):
        checkpoint.read_card(saved[0])
