"""The condition encoder: its inputs, its pre-training, and that it learns the one-shot's spectrogram."""

import dataclasses

import numpy as np
import pytest
import torch

from dose.model.condition_encoder import ConditionEncoder, spectrogram_loss
from dose.model.config import ModelConfig
from dose.model.decode import generate
from dose.model.transformer import DoseModel
from dose.tokens import band_energies
from dose.tokens.shards import Codes
from dose.train.augment import augment_eq
from dose.train.config import FitConfig
from dose.train.data import FitData, Pairs
from dose.train.trainer import fit

MODEL = ModelConfig(
    layers=1, width=32, heads=2, codebooks=3, codebook_size=20, frames=8, segments=2,
    conditioning="band_energies", positions="rotary",
)  # fmt: skip
CONFIG = FitConfig(
    model=MODEL, prompt="band_energies", steps=60, batch=16, lr=3e-3, warmup=5, evaluate_every=60,
    evaluate_items=32, spectrogram_weight=4.0, precision="fp32",
)  # fmt: skip
PROMPT = (band_energies.FEATURES, 2 * (band_energies.PRE_ONSET_FRAMES + 6))


def pairs(n: int, seed: int) -> Pairs:
    """One-shots whose spectrogram can be read off the prompt: one band sounds, in both."""
    rng = np.random.default_rng(seed)
    band = 10 * rng.integers(0, 4, n)
    prompts, spectrograms = np.zeros((n, *PROMPT), np.uint8), np.zeros((n, band_energies.BANDS, 8), np.uint8)
    prompts[np.arange(n), band] = spectrograms[np.arange(n), band] = band_energies.MAX_LEVEL
    shots = np.broadcast_to((band % 20)[:, None, None], (n, 3, 8)).astype(np.uint16)
    return Pairs(Codes([prompts]), Codes([shots]), Codes([spectrograms]))


def data() -> FitData:
    return FitData(
        train=pairs(256, 0), val=pairs(32, 1), codec_id="c", data_id="d",
        prompt={"kind": "band_energies", "hits": 2, "seconds": 0.07},
    )  # fmt: skip


def test_segments_may_come_in_any_order():
    torch.manual_seed(0)
    encoder = ConditionEncoder(16, 3, 8, 0.0).eval()
    prompt = torch.randint(0, band_energies.MAX_LEVEL, (2, band_energies.FEATURES, 3, 10))
    one, other = (encoder(p.flatten(2)) for p in (prompt, prompt[:, :, [2, 0, 1]]))
    shapes = {"features": (2, 8, 16), "summary": (2, 1, 16), "spectrogram": (2, band_energies.BANDS, 8)}
    for name, shape in shapes.items():
        assert getattr(one, name).shape == shape
        assert torch.allclose(getattr(one, name), getattr(other, name), atol=1e-5)


def test_greedy_tokens_are_the_likeliest_under_teacher_forcing():
    torch.manual_seed(0)
    model = DoseModel(MODEL).eval()
    prompt = torch.randint(0, band_energies.MAX_LEVEL, (2, *PROMPT))
    tokens = generate(model, prompt)
    with torch.inference_mode():
        likeliest = model(prompt, tokens[:, :-1])[..., 1:].argmax(dim=-1) + 1
    holds_code = tokens > 0
    assert torch.equal(likeliest[holds_code], tokens[holds_code])
    with pytest.raises(ValueError, match="prompt codes"):
        generate(model, prompt + band_energies.MAX_LEVEL)


def test_it_learns_the_spectrogram_of_the_one_shot(tmp_path):
    learnt = fit(CONFIG, data(), tmp_path / "with").metrics
    without = fit(dataclasses.replace(CONFIG, spectrogram_weight=0.0), data(), tmp_path / "without").metrics
    assert learnt["val/spectrogram_loss"] < 0.5 < without["val/spectrogram_loss"]


def test_the_encoder_may_be_pre_trained_alone(tmp_path):
    config = dataclasses.replace(CONFIG, encoder_steps=40, evaluate_every=20)
    history = fit(config, data(), tmp_path / "whole").history
    lm, encoder = ([h[name] for h in history] for name in ("val/loss", "val/spectrogram_loss"))
    assert encoder[1] < 0.6 < encoder[0]
    assert abs(lm[0] - lm[1]) < 0.05 < lm[1] - lm[2]  # the language model learns afterwards
    assert ["train/onset_loss" in h for h in history[:3]] == [False, False, True]

    class Killed(Exception):
        pass

    def stop(step: int, metrics: dict[str, float]) -> None:
        if step == 20:
            raise Killed

    with pytest.raises(Killed):
        fit(config, data(), tmp_path / "killed", stop)
    again = fit(config, data(), tmp_path / "killed").history
    for one, other in zip(history, again, strict=True):
        assert all(one[name] == other[name] for name in one if name != "train/pairs_per_s")


def test_eq_augmentation_changes_drum_and_mix_alike():
    torch.manual_seed(0)
    prompt = torch.randint(0, band_energies.MAX_LEVEL + 1, (3, *PROMPT))
    prompt[:, 0, 0] = band_energies.MAX_LEVEL
    segments, one_shot = augment_eq(prompt, prompt[:, : band_energies.BANDS])
    assert torch.equal(segments[:, : band_energies.BANDS], one_shot)
    assert torch.equal(segments[:, band_energies.BANDS :], prompt[:, band_energies.BANDS :])  # the likelihood
    assert (one_shot[prompt[:, : band_energies.BANDS] == 0] == 0).all()
    assert (one_shot.amax(dim=(1, 2)) == band_energies.MAX_LEVEL).all()
    assert not torch.equal(one_shot, prompt[:, : band_energies.BANDS])


def test_the_spectrogram_loss_is_a_fraction_of_the_references_square():
    reference = torch.rand(2, band_energies.BANDS, 8)
    assert float(spectrogram_loss(torch.zeros_like(reference), reference)) == pytest.approx(1)
    assert float(spectrogram_loss(reference, reference)) == 0


def test_prompt_and_conditioning_need_each_other():
    with pytest.raises(ValueError, match="band_energies"):
        FitConfig(model=MODEL, prompt="hits")
    with pytest.raises(ValueError, match="need a spectrogram_weight"):
        FitConfig(model=MODEL, prompt="band_energies", encoder_steps=10, warmup=5)
    with pytest.raises(ValueError, match="spectrogram_weight"):
        FitConfig(
            model=dataclasses.replace(MODEL, conditioning="aligned"), prompt="hits", spectrogram_weight=1.0
        )
