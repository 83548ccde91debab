"""The picture in which windows are judged and candidates compared: band magnitudes over short frames.

numpy only, so that it costs nothing at start-up.
"""

import functools

import numpy as np

from dose.audio import RATE

FRAME, HOP, BANDS = 1024, 256, 32
LOW, HIGH = 30.0, 16000.0  # Hz

# Where each drum speaks: the range in which its onset is looked for.
RANGES = {"kick": (30.0, 150.0), "snare": (180.0, 5000.0), "hihat": (6000.0, 16000.0)}


def bands(audio: np.ndarray) -> np.ndarray:
    """[N] to root-mean-square magnitudes [BANDS, T], T = ceil(N / HOP); frame t is centred on t * HOP."""
    frames = -(-audio.shape[-1] // HOP)
    padded = np.pad(audio.astype(np.float32), (FRAME // 2, FRAME // 2 + frames * HOP - audio.shape[-1]))
    cut = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[: frames * HOP : HOP]
    power = np.abs(np.fft.rfft(cut * np.hanning(FRAME).astype(np.float32), axis=1)) ** 2
    return np.sqrt(power @ _band_matrix()).T.astype(np.float32)


def edges() -> np.ndarray:
    """Hz of the BANDS + 1 edges: even on the mel scale."""
    mel = np.linspace(_mel(LOW), _mel(HIGH), BANDS + 1)
    return 700 * (10 ** (mel / 2595) - 1)


def in_range(drum: str) -> np.ndarray:
    """Boolean [BANDS]: the bands that overlap the drum's range."""
    low, high = RANGES[drum]
    return (edges()[1:] > low) & (edges()[:-1] < high)


@functools.cache
def _band_matrix() -> np.ndarray:
    """[bins, BANDS]: every bin belongs to the bands it overlaps, by its share."""
    width = RATE / FRAME
    starts = (np.arange(FRAME // 2 + 1) - 0.5) * width
    low, high = edges()[:-1], edges()[1:]
    shared = np.minimum(starts[:, None] + width, high) - np.maximum(starts[:, None], low)
    return (np.clip(shared, 0, None) / width).astype(np.float32)


def _mel(hz: float) -> float:
    return 2595 * float(np.log10(1 + hz / 700))
