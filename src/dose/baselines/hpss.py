"""Baseline without weights: harmonic/percussive separation (HPSS), then one frequency band per drum.

Median filters along time and along frequency split the mix's magnitude spectrogram into a harmonic and a
percussive part (Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010; librosa's
implementation with soft masks). The percussive part is weighted with a frequency band per drum. The baseline
needs no training and no download; it is not a claim about the state of the art in separation.
"""

import numpy as np

from dose import audio
from dose.drums import DRUMS

# FFT size, hop and median length in frames and bins; defaults without a study.
SIZE, HOP, MEDIAN = 2048, 1024, 17
# Where each drum is expected to have most of its energy; chosen by hand, without a study.
BANDS_HZ = {"kick": (20.0, 180.0), "snare": (150.0, 6000.0), "hihat": (6000.0, 20000.0)}


def hpss_stems(mix: np.ndarray) -> dict[str, np.ndarray]:
    """[C, N] or [N] at 44.1 kHz -> {drum: float32 [N] mono}."""
    import librosa

    mono = np.ascontiguousarray(audio.downmix(mix), dtype=np.float32)
    # librosa needs at least one whole frame.
    padded = audio.fit_length(mono, max(len(mono), SIZE))
    spectrum = librosa.stft(padded, n_fft=SIZE, hop_length=HOP)  # [bins, frames]
    # [1]: the percussive part; the harmonic one is not used.
    percussive = librosa.decompose.hpss(spectrum, kernel_size=MEDIAN)[1]
    frequencies = np.fft.rfftfreq(SIZE, 1 / audio.RATE)
    return {
        drum: librosa.istft(percussive * band_weights(frequencies, *BANDS_HZ[drum])[:, None],
                            n_fft=SIZE, hop_length=HOP, length=len(mono)).astype(np.float32)
        for drum in DRUMS
    }  # fmt: skip


def band_weights(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Frequencies in Hz [bins] -> weights [bins].

    1 between the edges (Hz), falling to 0 over a raised cosine of one octave beyond each.
    """
    # Distance to each edge in octaves, 0 to 1 over the skirt.
    octaves = np.log2(np.maximum(frequencies, 1e-3))
    rising = np.clip(octaves - np.log2(low) + 1, 0, 1)
    falling = np.clip(np.log2(high) + 1 - octaves, 0, 1)
    weights: np.ndarray = 0.5 - 0.5 * np.cos(np.pi * np.minimum(rising, falling))
    return weights
