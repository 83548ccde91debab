"""Clean tails: traces of other hits and endless tails go, a sound that decays stays."""

import numpy as np
import pytest

from dose.audio import RATE
from dose.extract.tail import clean_tail
from dose.metrics.tail import length_error, tail_level

T = np.arange(RATE) / RATE


def noise(seconds_to_60_db: float, seed: int = 0) -> np.ndarray:
    sound = np.random.default_rng(seed).normal(size=RATE) * 10 ** (-3 * T / seconds_to_60_db)
    return (sound / np.abs(sound).max()).astype(np.float32)


def tone(hz: float, seconds_to_60_db: float) -> np.ndarray:
    return (np.sin(2 * np.pi * hz * T) * 10 ** (-3 * T / seconds_to_60_db)).astype(np.float32)


@pytest.mark.parametrize("sound", [noise(0.3), noise(0.8), tone(60, 0.6), tone(300, 0.4)], ids=range(4))
def test_a_sound_that_decays_is_left_alone(sound):
    cleaned = clean_tail(sound)
    early = slice(0, RATE // 10)
    error = np.square(cleaned[early] - sound[early]).sum() / np.square(sound[early]).sum()
    assert 10 * np.log10(error + 1e-12) < -20
    assert length_error(cleaned, sound)[0] < 60


def test_the_trace_of_another_hit_goes():
    sound = noise(0.25)
    traced = sound.copy()
    traced[25_000:28_000] += 0.05 * noise(0.2, seed=5)[:3000]
    assert tail_level(traced, sound)[0] > -35
    assert tail_level(clean_tail(traced), sound)[0] < -50


def test_what_rises_again_in_one_band_goes_though_the_sound_is_still_loud():
    """A hi-hat's trace in a kick, 100 ms after its attack: the whole level shows nothing."""
    kick = tone(60, 0.8) + 0.3 * noise(0.03)
    traced = kick.copy()
    trace = slice(6_000, 9_000)
    traced[trace] += 0.05 * np.diff(noise(0.2, seed=5)[:3001])

    def high(sound):
        return np.square(np.diff(sound[trace], n=3)).sum()

    assert 10 * np.log10(high(clean_tail(traced)) / high(traced)) < -20
    assert np.square(clean_tail(traced)[trace] - kick[trace]).sum() < 0.02 * np.square(kick[trace]).sum()


def test_a_tail_that_does_not_end_ends():
    sound = tone(60, 0.5)
    endless = sound + 0.01 * np.random.default_rng(1).normal(size=RATE).astype(np.float32)
    assert tail_level(endless, sound)[0] > -40
    assert tail_level(clean_tail(endless), sound)[0] < -45
    assert np.abs(clean_tail(endless)[-4410:]).max() < 1e-4


def test_silence_and_short_sounds_pass():
    assert not clean_tail(np.zeros(RATE, np.float32)).any()
    click = np.zeros(RATE, np.float32)
    click[0] = 1.0
    assert np.isfinite(clean_tail(click)).all()
