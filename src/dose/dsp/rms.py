"""The level of a sound over time: RMS of overlapping frames."""

import numpy as np

from dose import audio

WINDOW, HOP = 256, 128  # samples: 5.8 ms and 2.9 ms


def rms(shot: np.ndarray) -> np.ndarray:
    """[N] -> [frames], frames of WINDOW samples centred on multiples of HOP."""
    padded = np.pad(shot, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]  # [frames, WINDOW]
    level: np.ndarray = np.sqrt(np.square(frames, dtype=np.float64).mean(axis=1))
    return level


def levels(shot: np.ndarray) -> np.ndarray:
    """[N] -> dB [frames], relative to the loudest frame of a sound that is not silent."""
    level = rms(shot)
    return np.asarray(audio.db(level / level.max()))
