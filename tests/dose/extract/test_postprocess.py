"""Postprocessing: trimmed at the attack, no DC, faded, levelled."""

import numpy as np
import pytest

from dose import audio
from dose.errors import AudioError
from dose.extract.postprocess import PostprocessConfig, attack_start, loudness, place, postprocess

RATE = 44100
TIME = np.arange(RATE) / RATE


def _hit(start: int, hz: float = 55.0, decay: float = 9.0) -> np.ndarray:
    shot = np.zeros(RATE)
    shot[start:] = (np.sin(2 * np.pi * hz * TIME) * np.exp(-decay * TIME))[: RATE - start]
    return shot


def _noise(level_db: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, RATE) * audio.from_db(level_db)


@pytest.mark.parametrize("hz", [45.0, 180.0, 8000.0])
@pytest.mark.parametrize("start", [0, 300, 9000])
def test_starts_on_the_attack_and_keeps_it(hz, start):
    raw = _hit(start, hz) + _noise(-50) * (np.arange(RATE) < start)
    at = attack_start(raw)
    assert start - 0.003 * RATE <= at <= start + 0.001 * RATE  # nothing of the rise is lost
    made = postprocess(raw, PostprocessConfig())
    peak = np.abs(made).max()
    assert np.argmax(np.abs(made) > 0.1 * peak) < 0.005 * RATE
    # What was cut is the lead-in only: from 2 ms after the attack on, the sound is the one that came in.
    same = raw[at + 100 : at + 3000]
    assert np.corrcoef(same, made[100:3000])[0, 1] > 0.9999


def test_dc_of_the_model_is_removed():
    made = postprocess(_hit(0) + 0.05, PostprocessConfig(tail=0.5))
    assert abs(made.mean()) < 1e-6
    assert abs(made[0]) < 1e-6
    assert abs(made[-1]) < 1e-6


def test_ends_at_the_floor():
    raw = _hit(0, decay=40.0)
    made = postprocess(raw, PostprocessConfig())
    gone = np.log(1000) / 40  # seconds to -60 dB
    assert len(made) / RATE == pytest.approx(gone + 0.01, abs=0.02)


@pytest.mark.parametrize("tail", [0.05, 0.3])
def test_tail_is_as_long_as_asked_and_fades(tail):
    made = postprocess(_hit(0, decay=1.0), PostprocessConfig(tail=tail))
    assert len(made) == int(tail * RATE)
    assert np.abs(made[-20:]).max() < 1e-3


@pytest.mark.parametrize("peak_db", [-1.0, -6.0, 0.0])
def test_peak(peak_db):
    assert audio.db(
        np.abs(postprocess(_hit(50) * 0.01, PostprocessConfig(peak_db=peak_db))).max()
    ) == pytest.approx(peak_db)


def test_loudness_and_its_limit():
    made = postprocess(_hit(0, hz=1000), PostprocessConfig(lufs=-30))
    assert loudness(made.astype(float), RATE) == pytest.approx(-30, abs=0.1)
    loud = postprocess(_hit(0, hz=1000, decay=60), PostprocessConfig(lufs=0))
    assert np.abs(loud).max() <= audio.from_db(-0.1) + 1e-6


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
def test_any_rate(rate):
    made = postprocess(_hit(0, hz=1000), PostprocessConfig(rate=rate, tail=0.5))
    assert len(made) == pytest.approx(rate * 0.5, abs=2)
    spectrum = np.abs(np.fft.rfft(made))
    assert np.argmax(spectrum) * rate / len(made) == pytest.approx(1000, abs=5)


def test_stereo_keeps_its_image():
    raw = place(_hit(100).astype(np.float32), (1.0, 0.25))
    made = postprocess(raw, PostprocessConfig())
    assert made.shape[0] == 2
    assert np.abs(made[1]).max() / np.abs(made[0]).max() == pytest.approx(0.25, rel=1e-3)


def test_silence_is_refused():
    with pytest.raises(AudioError, match="another seed"):
        postprocess(np.zeros(RATE), PostprocessConfig())


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("peak_db", -60, 0), ("lufs", -60, 0), ("tail", 0.02, 10), ("rate", 8000, 192_000)],
)
def test_limits_belong_to_the_range(name, lowest, highest):
    for limit, beyond in ((lowest, lowest - 0.001), (highest, highest + 0.001)):
        assert getattr(PostprocessConfig(**{name: limit}), name) == limit
        with pytest.raises(ValueError, match=f"{name.removesuffix('_db')} must lie between"):
            PostprocessConfig(**{name: beyond})


@pytest.mark.parametrize("wrong", [{"peak_db": 3.0}, {"lufs": 5.0}, {"tail": 0.0}, {"rate": 100}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError):
        PostprocessConfig(**wrong)
