"""Checkpoints: what is saved is loaded, everything else is refused, and format 1 is read."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dose import files
from dose.errors import ConfigError, DoseError, IntegrityError, MissingInputError
from dose.model import checkpoint
from dose.model.config import ModelConfig
from dose.model.decode import generate
from dose.model.transformer import DoseModel
from dose.tokens import layout

CONFIG = ModelConfig(
    layers=1,
    width=16,
    heads=2,
    codebooks=3,
    codebook_size=20,
    frames=8,
    segments=2,
    conditioning="prefix_aligned",
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


@pytest.mark.parametrize("conditioning", ["prefix", "prefix_aligned", "aligned"])
@pytest.mark.parametrize("positions", ["none", "rotary"])
def test_a_loaded_model_gives_the_outputs_of_the_saved_one(tmp_path, conditioning, positions):
    torch.manual_seed(0)
    segments = 1 if conditioning == "prefix" else 2
    config = dataclasses.replace(CONFIG, conditioning=conditioning, positions=positions, segments=segments)
    model = DoseModel(config).eval()
    checkpoint.save(tmp_path / "kick", model, {})
    prompt, shot = torch.randint(20, (2, 3, 12)), torch.randint(21, (2, 10, 3))
    with torch.inference_mode():
        assert torch.equal(checkpoint.load(tmp_path / "kick").model(prompt, shot), model(prompt, shot))


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
        lambda card: card.update(format=3),
        lambda card: card["weights"].pop("sha256"),
        lambda card: card["config"].update(layers=2),
        lambda card: card["config"].update(width=32),
        lambda card: card["config"].update(conditioning="prefix"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved, change):
    _edit(saved[0], change)
    with pytest.raises((ConfigError, IntegrityError), match=r"model\.json|weights"):
        checkpoint.load(saved[0])


@pytest.mark.parametrize(
    ("kind", "message"), [("missing", r"lacks head\.bias \(1 missing"), ("extra", r"holds head\.colour")]
)
def test_missing_and_left_over_tensors_are_named(saved, kind, message):
    import safetensors.torch

    path = saved[0] / checkpoint.WEIGHTS
    state = safetensors.torch.load_file(path)
    if kind == "missing":
        del state["head.bias"]
    else:
        state["head.colour"] = torch.zeros(1)
    safetensors.torch.save_file(state, path)
    _edit(saved[0], lambda card: card["weights"].update(sha256=files.sha256(path)))
    with pytest.raises(IntegrityError, match=message):
        checkpoint.load(saved[0])


def test_a_card_that_is_no_json_is_one_sentence(saved):
    (saved[0] / checkpoint.CARD).write_text("{")
    with pytest.raises(DoseError, match=r"model\.json"):
        checkpoint.read_card(saved[0])


FORMAT_1 = Path(__file__).parents[2] / "fixtures" / "v1" / "checkpoints"  # as version 1 wrote them


@pytest.mark.parametrize(
    ("name", "conditioning", "decoding"),
    [
        ("no", "prefix", "unconstrained"),
        ("also", "prefix_aligned", "constrained"),
        ("only", "aligned", "constrained"),
        ("levels", "band_energies", "constrained"),
    ],
)
def test_a_checkpoint_of_format_1_gives_the_outputs_it_gave_then(name, conditioning, decoding, caplog):
    loaded = checkpoint.load(FORMAT_1 / name)
    model, stored = loaded.model, np.load(FORMAT_1 / name / "outputs.npz")
    assert (model.config.conditioning, model.config.decoding) == (conditioning, decoding)
    assert (model.config.codebook_size, model.config.segments) == (8, 1 if name == "no" else 2)
    assert loaded.meta["prompt"]["kind"] == {"no": "mix", "levels": "band_energies"}.get(name, "hits")
    prompt = torch.from_numpy(stored["prompt"]).long()
    tokens = layout.one_shot_steps(torch.from_numpy(stored["one_shot"]).long(), model.config.pattern)
    with torch.inference_mode():
        hidden, spectrogram = model.hidden(prompt, tokens[:, :-1])
        logits = model.logits(hidden)
    np.testing.assert_allclose(logits.numpy(), stored["logits"], rtol=1e-5, atol=1e-6)
    assert (spectrogram is not None) == ("spectrogram" in stored)
    if spectrogram is not None:
        np.testing.assert_allclose(spectrogram.numpy(), stored["spectrogram"], rtol=1e-5, atol=1e-6)
    assert np.array_equal(generate(model, prompt).numpy(), stored["tokens"])
    assert not caplog.records  # nobody edits a stored file


def test_a_checkpoint_of_format_1_is_saved_in_todays(tmp_path):
    old = checkpoint.load(FORMAT_1 / "levels")
    checkpoint.save(tmp_path / "new", old.model, old.meta)
    assert json.loads((tmp_path / "new" / checkpoint.CARD).read_text())["format"] == checkpoint.FORMAT
    assert (
        checkpoint.read_card(tmp_path / "new")["config"]
        == checkpoint.read_card(FORMAT_1 / "levels")["config"]
    )
    new = checkpoint.load(tmp_path / "new").model
    assert new.state_dict().keys() == old.model.state_dict().keys()


def test_a_shared_model_of_format_1_is_refused_in_one_sentence(tmp_path):
    folder = tmp_path / "shared"
    shutil.copytree(FORMAT_1 / "no", folder)
    _edit(folder, lambda card: card["config"].update(drums=["kick", "snare"]))
    with pytest.raises(
        ConfigError, match=r"config\.drums must be removed, or \(\): a model generates one drum"
    ):
        checkpoint.load(folder)
