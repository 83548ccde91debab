"""Mel-spaced band magnitudes over short frames: for ranking segments and candidates, and for input drift.

numpy only, so that importing it costs nothing at start-up.
"""

import functools

import numpy as np

from dose.audio import RATE

FRAME, HOP, BANDS = 1024, 256, 32  # samples, samples, bands: defaults without a study
LOW, HIGH = 30.0, 16000.0  # Hz

# Hz in which a drum's onset is looked for; chosen by hand. Ranges of different drums may overlap.
DRUM_RANGES = {"kick": (30.0, 150.0), "snare": (180.0, 5000.0), "hihat": (6000.0, 16000.0)}


def mel_magnitudes(audio: np.ndarray) -> np.ndarray:
    """Mono [N] to root-sum-square magnitudes [BANDS, T], T = ceil(N / HOP); frame t is centred on t * HOP."""
    frames = -(-audio.shape[-1] // HOP)
    padded = np.pad(audio.astype(np.float32), (FRAME // 2, FRAME // 2 + frames * HOP - audio.shape[-1]))
    # [T, FRAME]: overlapping views, no copy.
    cut = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[: frames * HOP : HOP]
    power = np.abs(np.fft.rfft(cut * np.hanning(FRAME).astype(np.float32), axis=1)) ** 2  # [T, bins]
    magnitudes: np.ndarray = np.sqrt(power @ _filterbank()).T.astype(np.float32)
    return magnitudes


def band_edges() -> np.ndarray:
    """Hz of the BANDS + 1 edges, equally spaced on the mel scale (O'Shaughnessy's formula)."""
    mel = np.linspace(_mel(LOW), _mel(HIGH), BANDS + 1)
    return 700 * (10 ** (mel / 2595) - 1)


def drum_bands(drum: str) -> np.ndarray:
    """Boolean [BANDS]: the bands that overlap the drum's range."""
    low, high = DRUM_RANGES[drum]
    return (band_edges()[1:] > low) & (band_edges()[:-1] < high)


@functools.cache
def _filterbank() -> np.ndarray:
    """[bins, BANDS]: the share of each bin's width that lies in each band (rectangular bands)."""
    width = RATE / FRAME
    # Bin k stands for the frequencies from (k - 0.5) to (k + 0.5) times the bin width.
    starts = (np.arange(FRAME // 2 + 1) - 0.5) * width
    low, high = band_edges()[:-1], band_edges()[1:]
    shared = np.minimum(starts[:, None] + width, high) - np.maximum(starts[:, None], low)
    filterbank: np.ndarray = (np.clip(shared, 0, None) / width).astype(np.float32)
    return filterbank


def _mel(hz: float) -> float:
    return 2595 * float(np.log10(1 + hz / 700))
