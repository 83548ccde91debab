"""A separator without weights: harmonic/percussive separation and one frequency band per drum.

The mix's mono spectrogram (2048 Hann, hop 1024) is split by median filters over 17 frames and bins
(Fitzgerald, DAFx 2010; librosa's implementation, soft masks); the percussive part is weighted with a band
per drum whose edges fall off over an octave. A baseline that any checkout can compute, not a claim about
separation.
"""

import numpy as np

from dose import audio
from dose.drums import DRUMS

SIZE, HOP, MEDIAN = 2048, 1024, 17
BANDS_HZ = {"kick": (20.0, 180.0), "snare": (150.0, 6000.0), "hihat": (6000.0, 20000.0)}


def hpss_stems(mix: np.ndarray) -> dict[str, np.ndarray]:
    """[C, N] or [N] at 44.1 kHz -> {drum: float32 [N] mono}."""
    import librosa

    mono = np.ascontiguousarray(audio.downmix(mix), dtype=np.float32)
    padded = audio.fit_length(mono, max(len(mono), SIZE))
    spectrum = librosa.stft(padded, n_fft=SIZE, hop_length=HOP)
    percussive = librosa.decompose.hpss(spectrum, kernel_size=MEDIAN)[1]
    frequencies = np.fft.rfftfreq(SIZE, 1 / audio.RATE)
    return {
        drum: librosa.istft(percussive * band_weights(frequencies, *BANDS_HZ[drum])[:, None],
                            n_fft=SIZE, hop_length=HOP, length=len(mono)).astype(np.float32)
        for drum in DRUMS
    }  # fmt: skip


def band_weights(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    """1 between the edges (Hz), falling to 0 over half a cosine, one octave wide, outside of each."""
    octaves = np.log2(np.maximum(frequencies, 1e-3))
    rising = np.clip(octaves - np.log2(low) + 1, 0, 1)
    falling = np.clip(np.log2(high) + 1 - octaves, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * np.minimum(rising, falling))
