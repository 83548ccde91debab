"""Quantised band energies on the codec's time grid: what a conditioned model reads of a mix.

The codes of a mix share little with those of the drum in it, because another sound on top changes every
code. The band energies are the drum's wherever the drum is the loudest sound. Frame t of the band energies
covers the same samples as frame t of the codec. Below 500 Hz each bin of a 2048-point transform is a band,
so that a kick's pitch shows; above, 24 bands of a 512-point transform place onsets in time.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dose.dsp.bands import RATE, BandFrontEnd, Resolution

HOP = 512  # samples: the codec's frame
LONG, SHORT = 2048, 512  # samples: window of the low and of the high bands
LOW_BINS = range(1, 24)  # of the long transform: 22 to 495 Hz
EDGES = tuple(500.0 * 40.0 ** (i / 24) for i in range(25))  # Hz: 500 to 20,000, equal ratios
FRONT_END = BandFrontEnd(
    resolutions=(Resolution(size=LONG, bins=tuple(LOW_BINS)), Resolution(size=SHORT, edges=EDGES)),
    hop=HOP,
    centre="hop_middle",
    normalise=True,
)
BANDS = FRONT_END.bands
CENTRES = (
    *(b * RATE / LONG for b in LOW_BINS),
    *((low * high) ** 0.5 for low, high in itertools.pairwise(EDGES)),
)  # Hz
FEATURES = BANDS + 1  # of a segment: its bands, and the likelihood of its onset
PRE_ONSET_FRAMES = 4  # of a segment, before its onset: they show the background
# The quantised scale: 0..160 in steps of half a decibel, so that 0 is 80 dB below the reference.
MAX_LEVEL, STEPS_PER_DB = 160, 2


def segment_features(
    mix: np.ndarray, starts: Sequence[int], likelihoods: Sequence[float], count: int, frames: int
) -> np.ndarray:
    """Conditioning features of onset-aligned segments: int64 [FEATURES, count x (PRE_ONSET_FRAMES + frames)].

    `mix` is mono [N], `starts` are onsets in samples. Values lie in 0..MAX_LEVEL: BANDS features of band
    energy, relative to the loudest of all segments, then the onset's likelihood (0..1, scaled). The reference
    is common to all segments because a drum is hit about as hard each time, so that segments differ by what
    else sounds. Fewer starts than `count` are repeated in turn; without any, all values are 0.
    """
    length = PRE_ONSET_FRAMES + frames
    out = np.zeros((count, FEATURES, length), np.int64)
    if starts:
        # Which onset fills which segment: best first, repeated in turn.
        turn = [i % len(starts) for i in range(count)]
        # Cut around each onset, with a margin of one long window at both ends for the transform.
        before, after = PRE_ONSET_FRAMES * HOP + LONG, frames * HOP + LONG
        padded = np.pad(mix, (before, after))
        cuts = np.stack([padded[starts[i] : starts[i] + before + after] for i in turn])  # [count, samples]
        # The margin is dropped again, by whole frames.
        power = band_energies(cuts)[:, :, LONG // HOP :][:, :, :length]  # [count, BANDS, length]
        out[:, :BANDS] = _quantise(power, power.max(initial=0.0))
        out[:, BANDS] = np.round(MAX_LEVEL * np.array([likelihoods[i] for i in turn]))[:, None]
    return np.concatenate(list(out), axis=-1)


def quantised_spectrograms(shots: np.ndarray, frames: int) -> np.ndarray:
    """One-shots [n, N] to int64 [n, BANDS, frames], 0..MAX_LEVEL, relative to the loudest band of each."""
    power = one_shot_band_energies(shots, frames)
    return _quantise(power, power.max(axis=(1, 2), keepdims=True))


def one_shot_band_energies(shots: np.ndarray, frames: int) -> np.ndarray:
    """One-shots [n, N] to band powers [n, BANDS, frames]; zeros past a one-shot's end."""
    return band_energies(np.pad(shots, ((0, 0), (0, max(0, frames * HOP - shots.shape[1])))))[:, :, :frames]


def compress_power(levels: Tensor) -> Tensor:
    """Power-law compression: quantised levels 0..MAX_LEVEL to power ** 0.25, in 0.01..1.

    The exponent lies between power, which the loudest moments dominate, and decibels, which weigh every
    level alike.
    """
    return 10 ** ((levels.float() / MAX_LEVEL - 1) * (MAX_LEVEL / STEPS_PER_DB / 40))


def expand_power(compressed: np.ndarray) -> np.ndarray:
    """Compressed spectrograms (power ** 0.25; an expectation may lie slightly below 0) back to power."""
    power: np.ndarray = np.maximum(compressed, 0) ** 4
    return power


def band_energies(audio: np.ndarray) -> np.ndarray:
    """Mono [n, N] at 44.1 kHz to band powers float32 [n, BANDS, N // HOP]."""
    return FRONT_END.power(torch.from_numpy(np.ascontiguousarray(audio, np.float32))).numpy()


def _quantise(power: np.ndarray, reference: np.ndarray | float) -> np.ndarray:
    """Powers to whole steps of 1 / STEPS_PER_DB decibels; `reference` becomes MAX_LEVEL."""
    # Floors: 1e-20 for silent references, 1e-12 (-120 dB) for silent bands, far below level 0.
    db = 10 * np.log10(power / np.maximum(reference, 1e-20) + 1e-12)
    return np.clip(np.round(MAX_LEVEL + STEPS_PER_DB * db), 0, MAX_LEVEL).astype(np.int64)
