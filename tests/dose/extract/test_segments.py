"""The best segments of a song are found, whatever its length, in bounded memory."""

import dataclasses
import itertools

import numpy as np
import pytest
from extract_beat import drum_loop

from dose.drums import DRUMS
from dose.dsp.mel import BANDS, DRUM_RANGES, FRAME, HOP, band_edges, drum_bands, mel_magnitudes
from dose.extract.segments import SEGMENTS_PER_DRUM, Segment, choose, onset_snr, scan
from dose.transcription import front_end
from dose.transcription.transcribe import Activations, bundled_network
from dose.transcription.windows import SHORTEST_LOOP

RATE = 44100


def _segment(start: float, score: float) -> Segment:
    """A segment whose score is `score`."""
    return Segment(
        audio=np.zeros((1, 1)),
        start=int(start * RATE),
        onsets=(0,),
        likelihood=(score,),
        onset_snr=(1.0,),
    )


def test_mel_magnitudes_equal_a_naive_transform():
    sound = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    made = mel_magnitudes(sound)
    assert made.shape == (BANDS, -(-3000 // HOP))
    padded = np.pad(sound, (FRAME // 2, FRAME))
    for t in (0, 5, 11):
        power = np.abs(np.fft.rfft(padded[t * HOP : t * HOP + FRAME] * np.hanning(FRAME))) ** 2
        for band in (0, 10, BANDS - 1):
            low, high = band_edges()[band : band + 2]
            total = 0.0
            for k, p in enumerate(power):
                bin_low, bin_high = (k - 0.5) * RATE / FRAME, (k + 0.5) * RATE / FRAME
                total += p * max(0.0, min(high, bin_high) - max(low, bin_low)) / (RATE / FRAME)
            assert made[band, t] == pytest.approx(np.sqrt(total), rel=1e-3)


def test_every_drum_has_mel_bands():
    assert all(drum_bands(drum).any() for drum in DRUM_RANGES)
    assert not (drum_bands("kick") & drum_bands("hihat")).any()


def test_an_onset_of_a_repeated_loop_is_timed_within_it():
    loop = drum_loop(1.5)
    [segment] = scan([loop], ("snare",), bundled_network()).segments["snare"]
    assert segment.period == loop.shape[1]
    [padded] = scan([loop[:, : SHORTEST_LOOP - 1]], ("snare",), bundled_network()).segments["snare"]
    assert sum(segment.onset_snr) > 2 * sum(padded.onset_snr)
    assert 0 <= segment.time < 1.5
    later = dataclasses.replace(segment, onsets=(segment.period + 4410,))
    assert later.time == pytest.approx(0.1)


def test_chosen_segments_are_spread_over_the_song():
    segments = [
        _segment(0, 0.9),
        _segment(2, 0.88),
        _segment(60, 0.8),
        _segment(120, 0.5),
        _segment(62, 0.79),
    ]
    assert [w.start / RATE for w in choose(segments, 3)] == [0, 60, 120]
    # 2 s of the 8 s that count as far: nearness costs 56 %, and a poor segment stays behind.
    assert [w.start / RATE for w in choose([*segments[:2], _segment(60, 0.3)], 2)] == [0, 2]
    assert len(choose(segments, 10)) == 5
    assert choose([], 3) == []


def test_onset_snr_needs_a_rise_in_the_drums_own_range():
    time = np.arange(RATE) / RATE
    burst = np.where(time >= 0.5, np.exp(-20 * (time - 0.5)), 0)
    kick = burst * np.sin(2 * np.pi * 60 * time)
    hiss = burst * np.diff(np.random.default_rng(0).normal(size=RATE + 1))
    at = RATE // 2
    assert onset_snr(mel_magnitudes(kick), at, "kick") > 0.8
    assert onset_snr(mel_magnitudes(kick), at, "hihat") < 0.2
    assert onset_snr(mel_magnitudes(hiss), at, "hihat") > 0.6
    assert onset_snr(mel_magnitudes(hiss), at, "kick") < 0.2
    assert onset_snr(mel_magnitudes(kick), RATE // 4, "kick") == 0  # nothing happens there
    assert onset_snr(mel_magnitudes(kick + 10 * hiss), at, "kick") < onset_snr(
        mel_magnitudes(kick), at, "kick"
    )  # masked


def test_scan_finds_a_beat_where_it_is():
    song = np.concatenate([np.zeros((2, 8 * RATE), np.float32), drum_loop(8.0)], axis=1)
    scanned = scan([song[:, : 5 * RATE], song[:, 5 * RATE :]], DRUMS, bundled_network())
    assert scanned.samples == 16 * RATE
    assert scanned.peak == pytest.approx(np.abs(song).max())
    for drum in DRUMS:
        best = choose(scanned.segments[drum], 1)[0]
        assert best.start >= 4 * RATE
        assert best.time >= 7.9


def test_memory_of_a_long_song_is_bounded(monkeypatch):
    none = Activations(
        onsets=np.zeros((7, 401)), velocities=np.zeros((7, 401)), bands=np.zeros((front_end.BANDS, 401))
    )
    monkeypatch.setattr("dose.extract.segments.activations", lambda mono, net: none)
    hour = itertools.repeat(np.full((1, 20 * RATE), 0.1, np.float32), 12)
    scanned = scan(hour, ("kick",), bundled_network())
    assert scanned.samples == 240 * RATE
    assert len(scanned.segments["kick"]) < 2 * SEGMENTS_PER_DRUM
