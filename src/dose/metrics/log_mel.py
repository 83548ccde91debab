"""Log-mel features of a one-shot, shared by the two reference-free metrics (`classifier`, `memorisation`).

Definition: power in 64 mel bands (from 30 Hz; magnitude STFT with a 2048 Hann window and hop 512), averaged
over 12 time windows that widen towards the end of the one-shot, in dB relative to its largest value, floored
at -60 dB. Source: this project; the sizes are defaults without a study.
"""

import itertools

import numpy as np
import torch

from dose import audio
from dose.metrics.mss import magnitudes

FFT, BANDS, LOW_HZ, FLOOR_DB = 2048, 64, 30, -60.0
# Window edges in frames of 512 samples (11.6 ms). Drums change fastest at the attack, so windows grow from
# one frame to 27; the last edge is the frame count of one second.
EDGES = (0, 1, 2, 3, 4, 6, 9, 13, 19, 28, 41, 60, 87)
FEATURES = BANDS * (len(EDGES) - 1)


def log_mel_features(shots: np.ndarray) -> np.ndarray:
    """Prepared one-shots [n, 44100] -> float32 [n, FEATURES] in dB, window by window."""
    import librosa

    # [BANDS, FFT / 2 + 1]
    mel = torch.from_numpy(librosa.filters.mel(sr=audio.RATE, n_fft=FFT, n_mels=BANDS, fmin=LOW_HZ))
    out = []
    for shot in shots:
        magnitude = magnitudes(torch.from_numpy(np.ascontiguousarray(shot))[None], FFT)[0]
        power = mel @ magnitude.square()  # [BANDS, frames]
        windows = torch.stack(
            [power[:, a:b].mean(dim=1) for a, b in itertools.pairwise(EDGES)]
        )  # [12, BANDS]
        top = windows.max().clamp(min=1e-10)  # silence would divide by zero
        decibels = 10 * (windows / top).clamp(min=1e-12).log10()
        out.append(decibels.clamp(min=FLOOR_DB).flatten().numpy())
    return np.stack(out)
