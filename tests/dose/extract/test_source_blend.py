"""Source blending: the mix where the drum is unmasked, the sample elsewhere."""

import numpy as np
import pytest

from dose.audio import RATE
from dose.extract.segments import Segment
from dose.extract.source.blend import blend_source, misfit_of, source_segments
from dose.extract.spectral_match import compressed_band_energies
from dose.transcription.windows import WINDOW as SEGMENT

DECAY = np.exp(-np.arange(RATE) / (0.06 * RATE))


def burst(seed: int) -> np.ndarray:
    """A hi-hat: decaying noise; another seed has the same spectrogram and another fine structure."""
    noise = np.random.default_rng(seed).normal(size=RATE) * DECAY
    noise[int(0.5 * RATE) :] = 0
    return (noise / np.abs(noise).max()).astype(np.float32)


def expected(shot: np.ndarray) -> np.ndarray:
    return compressed_band_energies(shot[None], np.zeros((1, 87)))[0]


def segment(mix: np.ndarray, hits: tuple[int, ...], likelihood: float = 0.9) -> Segment:
    return Segment(
        audio=mix[None].astype(np.float32), start=0, onsets=hits,
        likelihood=(likelihood,) * len(hits), onset_snr=(1.0,) * len(hits),
    )  # fmt: skip


def with_hit(at: int, shot: np.ndarray, gain: float = 0.3) -> np.ndarray:
    mix = np.zeros(SEGMENT)
    mix[at : at + len(shot)] += gain * shot
    return mix


def made(true: np.ndarray, *segments: Segment) -> np.ndarray:
    sample = burst(1)
    return blend_source(sample, expected(true), source_segments(sample, expected(true), segments)[0]).audio


def waveform_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Maximum of the normalised cross-correlation over 0.1 s and lags of a millisecond, 0..1."""
    a, b = a[: RATE // 10], b[: RATE // 10]
    correlation = np.abs(np.correlate(a, b, "full"))[len(b) - 45 : len(b) + 44].max()
    return float(correlation / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("late", [-300, 0, 400])
def test_an_unmasked_hit_is_taken_with_its_waveform(late):
    true = burst(0)
    out = made(true, segment(with_hit(50_000, true), (50_000 + late,)))
    assert waveform_similarity(burst(1), true) < 0.2 < 0.8 < waveform_similarity(out, true)


def test_the_least_masked_hit_is_taken():
    true = burst(0)
    mix = with_hit(20_000, true) + with_hit(100_000, true)
    mix[15_000:60_000] += np.random.default_rng(5).normal(size=45_000) * np.linspace(0, 0.3, 45_000)
    out = made(true, segment(mix, (20_000, 100_000)))
    assert waveform_similarity(out, true) > 0.8


def test_other_sounds_are_not_taken():
    true, sample = burst(0), burst(1)
    t = np.arange(SEGMENT) / RATE
    steady = 0.3 * np.sin(2 * np.pi * 440 * t)
    assert source_segments(sample, expected(true), [segment(steady, (30_000, 80_000), 0.0)]) == []
    # A tone under the hit: masked in its band, so that it is far quieter in the blend than in the mix.
    mix = with_hit(50_000, true) + 0.5 * steady
    out = made(true, segment(mix, (50_000,)))
    late = slice(int(0.2 * RATE), int(0.4 * RATE))  # of the sound; there the hat is 30 dB down and more
    tone = np.exp(-2j * np.pi * 440 * t[late])
    before = abs(np.mean(mix[50_000:][late] * tone)) / 0.3
    assert abs(np.mean(out[late] * tone)) / np.abs(out).max() < 0.05 * before


def test_where_nothing_is_expected_there_is_silence():
    true = burst(0)
    mix = with_hit(50_000, true) + 1e-3 * np.random.default_rng(3).normal(size=SEGMENT)
    out = made(true, segment(mix, (50_000,)))
    end = slice(int(0.7 * RATE), RATE)
    assert np.abs(out[end]).max() < 1e-5 * np.abs(out).max()
    silence = np.zeros(RATE, np.float32)
    [source] = source_segments(sample := burst(1), expected(true), [segment(mix, (50_000,))])
    assert blend_source(sample, expected(true), source).source_energy_ratio > 0.5
    assert not blend_source(silence, expected(true), source).audio.any()


def test_level_and_misfit_of_a_hit_by_hand():
    wanted = np.full((3, 1), 0.25)
    level, misfit = misfit_of(wanted * np.array([[1], [2], [8]]), wanted)
    assert level == pytest.approx(2)
    assert misfit == pytest.approx((np.log(2) + 0 + np.log(4)) / 3)


def test_shipped_models_blend_unless_switched_off():
    from dose import audio
    from dose.bundle import named
    from dose.extract.candidates import SearchConfig
    from dose.extract.extractor import Extractor
    from dose.sources.shipped import demo_recordings

    loop = audio.read(next(p for p in demo_recordings() if p.stem == "loop_garzul"), mono=False)
    hits = {}
    for blend in (True, False):
        extractor = Extractor.load(named("shipped"), search=SearchConfig(samples=2, source_blend=blend))
        hits[blend] = extractor.extract(loop, RATE, drums=("snare", "hihat"), candidates=2).hits
    first, second = hits[True]["snare"]
    assert np.abs(np.corrcoef(first.raw[:4000], second.raw[:4000])[0, 1]) < 0.95  # another hit of the mix
    for drum in ("snare", "hihat"):
        real, generated = hits[True][drum][0], hits[False][drum][0]
        assert 0.05 < real.source_energy_ratio < 1  # the snares of this live loop do not agree: half trust
        assert generated.source_energy_ratio == 0
        assert real.seed == generated.seed
        assert not np.array_equal(real.raw, generated.raw)
