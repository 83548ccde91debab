import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dose.codec import fitting, load_codec
from dose.codec.compact import CompactConfig
from dose.codec.config import MaterialConfig, OfficialConfig
from dose.codec.fitting import FittingConfig, collect, fit

FITTING = FittingConfig(rounds=2, joint_refits=1, frames=1500, seed=3)


def drums(count):
    rng = np.random.default_rng(0)
    t = np.arange(22_050) / 44_100
    for i in range(count):
        body = np.sin(2 * np.pi * rng.uniform(40, 400) * t) * np.exp(-t / rng.uniform(0.02, 0.3))
        noise = rng.standard_normal(len(t)) * np.exp(-t / rng.uniform(0.02, 0.3))
        sound = (body + rng.uniform(0, 1) * noise).astype(np.float32)
        # Hits begin anywhere in a frame, or there would be no attack curves to fit.
        yield np.concatenate([np.zeros(37 * i % 512, np.float32), 0.5 * sound])


@pytest.fixture(scope="module")
def data():
    return collect(drums(120), CompactConfig(), FITTING)


def test_a_fit_that_is_killed_anywhere_ends_in_the_same_weights(data, tmp_path, monkeypatch):
    whole = fit(data, CompactConfig(), FITTING, tmp_path / "whole")
    steps = len(list((tmp_path / "whole").iterdir()))

    class Killed(Exception):
        pass

    original, done = fitting.save_file, []

    def save_then_die(tables, path):
        if len(done) in (1, 4, 8):
            done.append(path)
            raise Killed
        done.append(path)
        original(tables, path)

    monkeypatch.setattr(fitting, "save_file", save_then_die)
    for _ in range(3):
        with pytest.raises(Killed):
            fit(data, CompactConfig(), FITTING, tmp_path / "cut")
    again = fit(data, CompactConfig(), FITTING, tmp_path / "cut")
    assert again.id == whole.id
    assert len(done) == steps + 3  # no finished step ran twice


def test_a_state_of_another_fit_is_not_used(data, tmp_path):
    first = fit(data, CompactConfig(), FITTING, tmp_path)
    other = fit(data, CompactConfig(), dataclasses.replace(FITTING, seed=4), tmp_path)
    assert other.id != first.id
    assert fit(data, CompactConfig(), FITTING, tmp_path).id == first.id


def test_a_fitted_codec_reconstructs_its_training_sounds(data, tmp_path):
    codec = fit(data, CompactConfig(), FITTING, tmp_path / "state")
    codec.save(tmp_path / "codec")
    assert load_codec(tmp_path / "codec").id == codec.id
    sound = torch.from_numpy(next(drums(1)))[None, None]
    codes = codec.encode(sound)
    back = codec.decode(codes)[..., : sound.shape[-1]]
    assert (back - sound).norm() < 0.6 * sound.norm()
    assert (codes[0] != codes[0, :, :1]).any()


def test_silent_frames_are_left_out(data):
    assert len(data.folded) == 1500
    assert data.folded.abs().amax(-1).min() >= 1e-4
    assert (data.attack > 0).any()
    assert data.attack_curves[:2].eq(0).all()


def test_each_step_is_reported_and_saved(data, tmp_path):
    errors_by_step = {}
    fit(data, CompactConfig(), FITTING, tmp_path, errors_by_step.__setitem__)
    errors = [errors_by_step[f"wave{i}"] for i in range(7)]
    assert errors == sorted(errors, reverse=True)
    names = {p.name.split("-")[0] for p in tmp_path.iterdir()}
    assert names == {"embed", "envelope", *(f"wave{i}" for i in range(7)), "sweep0"}
    assert load_file(next(tmp_path.glob("wave0-*")))["book"].shape[0] == 1024


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (FittingConfig, {"rounds": 0}),
        (FittingConfig, {"frames": 10}),
        (CompactConfig, {"band_edges": (0, 5, 5, 512)}),
        (CompactConfig, {"band_edges": (0, 5, 500)}),
        (CompactConfig, {"waveform_bands": 16}),
        (CompactConfig, {"overlap": 7}),
        (CompactConfig, {"attack_curves": 500}),
        (MaterialConfig, {"shots": 1, "mixes": 2, "stems": 0}),
        (OfficialConfig, {"weights": "w", "url": "u", "sha256": "short"}),
    ],
)
def test_contradictions_are_refused(cls, values):
    with pytest.raises(ValueError):
        cls(**values)
