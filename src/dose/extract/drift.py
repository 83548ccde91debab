"""A sound in 32 numbers, the shape of its spectrum: for noticing drift. It cannot be had back from them."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from dose.dsp.mel import BANDS

FLOOR_DB = -80.0  # of a band, below the loudest moment of a window


def features(picture: np.ndarray) -> np.ndarray:
    """Band magnitudes [BANDS, T] of a window to mean levels in dB [BANDS], their mean taken off: no gain."""
    loudest = max(float(picture.max(initial=0.0)), 1e-9)
    levels = np.maximum(20 * np.log10(picture / loudest + 1e-9), FLOOR_DB).mean(axis=1)
    return levels - levels.mean()


def reference(sounds: Iterable[np.ndarray]) -> dict[str, Any]:
    """Mean and spread over sounds, features [BANDS] each, as `dose retrain` compares new ones with."""
    all_ = np.stack(list(sounds))
    assert all_.shape[1] == BANDS
    return {"mean": all_.mean(axis=0).round(4).tolist(), "spread": all_.std(axis=0).round(4).tolist()}
