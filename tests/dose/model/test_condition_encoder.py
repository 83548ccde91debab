"""The listener: what it is told, and that a model with one learns what the one-shot looks like."""

import dataclasses

import numpy as np
import pytest
import torch

from dose.model.condition_encoder import ConditionEncoder, spectrogram_loss
from dose.model.decode import generate
from dose.model.transformer import DoseModel, ModelConfig
from dose.tokens import band_energies
from dose.tokens.shards import Codes
from dose.train.augment import equalise_pairs
from dose.train.data import FitData, Pairs
from dose.train.trainer import FitConfig, fit

MODEL = ModelConfig(
    layers=1, width=32, heads=2, codebooks=3, entries=20, frames=8, excerpts=2, aligned="levels",
    positions="rotary",
)  # fmt: skip
CONFIG = FitConfig(
    model=MODEL, prompt="levels", steps=60, batch=16, lr=3e-3, warmup=5, evaluate_every=60,
    evaluate_items=32, picture_weight=4.0, precision="fp32",
)  # fmt: skip
PROMPT = (band_energies.FEATURES, 2 * (band_energies.PRE_ONSET_FRAMES + 6))


def pairs(n: int, seed: int) -> Pairs:
    """One-shots whose picture can be read off the prompt: one band sounds, in both."""
    rng = np.random.default_rng(seed)
    band = 10 * rng.integers(0, 4, n)
    prompts, pictures = np.zeros((n, *PROMPT), np.uint8), np.zeros((n, band_energies.BANDS, 8), np.uint8)
    prompts[np.arange(n), band] = pictures[np.arange(n), band] = band_energies.MAX_LEVEL
    shots = np.broadcast_to((band % 20)[:, None, None], (n, 3, 8)).astype(np.uint16)
    return Pairs([Codes([prompts])], [Codes([shots])], [Codes([pictures])])


def data() -> FitData:
    return FitData(
        train=pairs(256, 0), val=pairs(32, 1), codec_id="c", data_id="d",
        prompt={"kind": "levels", "hits": 2, "seconds": 0.07},
    )  # fmt: skip


def test_excerpts_may_come_in_any_order():
    torch.manual_seed(0)
    hears = ConditionEncoder(16, 3, 8, 0.0).eval()
    prompt = torch.randint(0, band_energies.MAX_LEVEL, (2, band_energies.FEATURES, 3, 10))
    one, other = (hears(p.flatten(2)) for p in (prompt, prompt[:, :, [2, 0, 1]]))
    for a, b in zip(one, other, strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert [tuple(x.shape) for x in one] == [(2, 8, 16), (2, 1, 16), (2, band_energies.BANDS, 8)]


def test_generating_says_what_teacher_forcing_finds_most_likely():
    torch.manual_seed(0)
    model = DoseModel(MODEL).eval()
    prompt = torch.randint(0, band_energies.MAX_LEVEL, (2, *PROMPT))
    rows = generate(model, prompt)
    with torch.inference_mode():
        likely = model(prompt, rows[:, :-1])[..., 1:].argmax(dim=-1) + 1
    said = rows > 0
    assert torch.equal(likely[said], rows[said])
    with pytest.raises(ValueError, match="prompt codes"):
        generate(model, prompt + band_energies.MAX_LEVEL)


def test_it_learns_what_the_one_shot_looks_like(tmp_path):
    learnt = fit(CONFIG, data(), tmp_path / "with").metrics
    without = fit(dataclasses.replace(CONFIG, picture_weight=0.0), data(), tmp_path / "without").metrics
    assert learnt["val/picture_loss"] < 0.5 < without["val/picture_loss"]


def test_the_listener_may_learn_first(tmp_path):
    config = dataclasses.replace(CONFIG, listen_steps=40, evaluate_every=20)
    history = fit(config, data(), tmp_path / "whole").history
    codes, seen = ([h[name] for h in history] for name in ("val/loss", "val/picture_loss"))
    assert seen[1] < 0.6 < seen[0]
    assert abs(codes[0] - codes[1]) < 0.05 < codes[1] - codes[2]  # until then nothing that says codes learns

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


def test_an_equaliser_moves_drum_and_mix_alike():
    torch.manual_seed(0)
    prompt = torch.randint(0, band_energies.MAX_LEVEL + 1, (3, *PROMPT))
    prompt[:, 0, 0] = band_energies.MAX_LEVEL
    heard, seen = equalise_pairs(prompt, prompt[:, : band_energies.BANDS])
    assert torch.equal(heard[:, : band_energies.BANDS], seen)
    assert torch.equal(heard[:, band_energies.BANDS :], prompt[:, band_energies.BANDS :])  # how sure a hit is
    assert (seen[prompt[:, : band_energies.BANDS] == 0] == 0).all()
    assert (seen.amax(dim=(1, 2)) == band_energies.MAX_LEVEL).all()
    assert not torch.equal(seen, prompt[:, : band_energies.BANDS])


def test_a_picture_loss_is_a_part_of_the_true_square():
    true = torch.rand(2, band_energies.BANDS, 8)
    assert float(spectrogram_loss(torch.zeros_like(true), true)) == pytest.approx(1)
    assert float(spectrogram_loss(true, true)) == 0


def test_levels_and_listeners_need_each_other():
    with pytest.raises(ValueError, match="levels"):
        FitConfig(model=MODEL, prompt="hits")
    with pytest.raises(ValueError, match="need a picture_weight"):
        FitConfig(model=MODEL, prompt="levels", listen_steps=10, warmup=5)
    with pytest.raises(ValueError, match="picture_weight"):
        FitConfig(model=dataclasses.replace(MODEL, aligned="only"), prompt="hits", picture_weight=1.0)
