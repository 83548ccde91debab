"""What a sound looks like on the codec's time grid: levels of bands, in whole numbers.

A codec's codes of a mix share little with those of the drum in it, since another sound on top changes every
code. Its band levels are the drum's wherever the drum is the loudest. Frame t stands where the codec's frame
t does. Below 500 Hz each bin of a 2048-point transform is a band of its own, so that the pitch of a kick
shows; above, 24 bands of a short transform show when a thing happens.
"""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dose.transcription.detector import RATE

HOP = 512
LONG, SHORT = 2048, 512
LOW_BINS = range(1, 24)  # of the long transform
EDGES = tuple(500.0 * 40.0 ** (i / 24) for i in range(25))  # Hz
BANDS = len(LOW_BINS) + len(EDGES) - 1
CENTRES = (
    *(b * RATE / LONG for b in LOW_BINS),
    *((a * b) ** 0.5 for a, b in itertools.pairwise(EDGES)),
)  # Hz
FEATURES = BANDS + 1  # an excerpt's bands, and how surely it is a hit of the drum
LEAD = 4  # frames of an excerpt before its hit: what sounds there anyway
TOP, STEPS_PER_DB = 160, 2  # a level of 0 is 80 dB under the loudest


def segment_features(
    mix: np.ndarray, starts: Sequence[int], sure: Sequence[float], hits: int, frames: int
) -> np.ndarray:
    """Excerpts of mix [N] at `starts`, int64 [FEATURES, hits x (LEAD + frames)], 0..TOP.

    Levels are in half dB above 80 dB under the loudest of all excerpts: a drum is hit about as hard each
    time, so what differs between the excerpts is what else sounds. `sure` (0..1) is each excerpt's last row.
    Fewer starts than `hits` are repeated in turn; none is silence.
    """
    length = LEAD + frames
    out = np.zeros((hits, FEATURES, length), np.int64)
    if starts:
        turn = [i % len(starts) for i in range(hits)]
        before, after = LEAD * HOP + LONG, frames * HOP + LONG
        padded = np.pad(mix, (before, after))
        cuts = np.stack([padded[starts[i] : starts[i] + before + after] for i in turn])
        power = band_energies(cuts)[:, :, LONG // HOP :][:, :, :length]
        out[:, :BANDS] = _levels(power, power.max(initial=0.0))
        out[:, BANDS] = np.round(TOP * np.array([sure[i] for i in turn]))[:, None]
    return np.concatenate(list(out), axis=-1)


def quantised_spectrograms(shots: np.ndarray, frames: int) -> np.ndarray:
    """One-shots [n, N] to int64 [n, BANDS, frames], 0..TOP: levels under each one's loudest."""
    power = one_shot_band_energies(shots, frames)
    return _levels(power, power.max(axis=(1, 2), keepdims=True))


def one_shot_band_energies(shots: np.ndarray, frames: int) -> np.ndarray:
    """One-shots [n, N] to band powers [n, BANDS, frames], silent past their end."""
    return band_energies(np.pad(shots, ((0, 0), (0, max(0, frames * HOP - shots.shape[1])))))[:, :, :frames]


def compress_power(levels: Tensor) -> Tensor:
    """Levels 0..TOP to the square root of a magnitude, 0.01 to 1: between as measured and as heard."""
    return 10 ** ((levels.float() / TOP - 1) * (TOP / STEPS_PER_DB / 40))


def band_energies(sounds: np.ndarray) -> np.ndarray:
    """[n, N] to band powers [n, BANDS, N // HOP]; frame t is centred in the codec's frame t."""
    x = torch.from_numpy(np.ascontiguousarray(sounds, np.float32))
    long = _spectrum(x, LONG)[:, list(LOW_BINS)]
    short = _matrix() @ _spectrum(x, SHORT)
    return torch.cat([long, short], dim=1).numpy()


def _spectrum(x: Tensor, size: int) -> Tensor:
    """Power [n, bins, N // HOP], scaled so that noise reads the same at every size."""
    side = (size - HOP) // 2
    window = torch.hann_window(size)
    padded = torch.nn.functional.pad(x, (side, side))
    spectrum = torch.stft(padded, size, HOP, window=window, center=False, return_complex=True)
    spectrum = spectrum[:, :, : x.shape[1] // HOP]
    power = spectrum.real.square() + spectrum.imag.square()  # `abs` would take a root, to be squared again
    return power / window.square().sum()


@functools.cache
def _matrix() -> Tensor:
    """[bands, bins of the short transform]: which bins lie in which band; the nearest where none does."""
    bins = np.arange(SHORT // 2 + 1) * RATE / SHORT
    rows = [(bins >= a) & (bins < b) for a, b in itertools.pairwise(EDGES)]
    for row, (a, b) in zip(rows, itertools.pairwise(EDGES), strict=True):
        row[np.abs(bins - (a + b) / 2).argmin()] = True
    return torch.tensor(np.array(rows), dtype=torch.float32)


def _levels(power: np.ndarray, top: np.ndarray | float) -> np.ndarray:
    db = 10 * np.log10(power / np.maximum(top, 1e-20) + 1e-12)
    return np.clip(np.round(TOP + STEPS_PER_DB * db), 0, TOP).astype(np.int64)
