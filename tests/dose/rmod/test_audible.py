"""Which hits of a mix can be heard."""

import numpy as np
import pytest

from dose.audio import RATE
from dose.rmod.realistic.audible import audible_hits


def click(at, level, samples=RATE, low=0, high=22050):
    """A decaying burst of noise between two frequencies at `at` seconds."""
    noise = np.random.default_rng(0).standard_normal(4096)
    spectrum, hz = np.fft.rfft(noise), np.fft.rfftfreq(4096, 1 / RATE)
    burst = np.fft.irfft(spectrum * ((hz >= low) & (hz < high)), 4096) * np.exp(-np.arange(4096) / 600)
    out = np.zeros(samples, np.float32)
    out[int(at * RATE) : int(at * RATE) + 4096] = level * burst / np.abs(burst).max()
    return out


def heard(own, rest, at=0.5):
    [flag] = audible_hits({"hat": own}, own + rest, {"hat": [at]})["hat"]
    return flag


@pytest.mark.parametrize(("level", "expected"), [(1.0, True), (0.3, True), (0.01, False)])
def test_a_hit_beside_steady_noise_is_heard_from_a_level_on(level, expected):
    noise = 0.1 * np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    assert heard(click(0.5, level), noise) == expected


def test_a_faint_hat_is_heard_above_a_loud_kick():
    kick = click(0.5, 1.0, high=300)
    assert heard(click(0.5, 0.1, low=6000), kick)
    assert not heard(click(0.5, 0.1, high=300), kick)


def test_what_lies_far_below_the_loudest_is_silence():
    assert heard(click(0.5, 1e-2), np.zeros(RATE, np.float32), 0.5)
    loud = click(0.1, 1.0)
    tracks = {"kick": loud, "hat": click(0.8, 1e-5)}
    flags = audible_hits(tracks, tracks["kick"] + tracks["hat"], {"kick": [0.1], "hat": [0.8]})
    assert flags == {"kick": (True,), "hat": (False,)}


def test_a_hit_at_the_end_and_a_track_without_hits():
    own = click(0.9, 1.0, samples=RATE)
    assert audible_hits({"a": own, "b": own}, own, {"a": [0.99], "b": []}) == {"a": (True,), "b": ()}
