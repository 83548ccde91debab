"""Input drift: a sound as 32 numbers, the shape of its mean spectrum. They do not give back the sound."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from dose.dsp.mel import BANDS

FLOOR_DB = -80.0  # relative to the loudest band and frame of a segment; quieter frames count as this


def features(magnitudes: np.ndarray) -> np.ndarray:
    """Mel magnitudes [BANDS, T] of a segment to mean levels in dB [BANDS], less their mean: gain cancels."""
    # Relative to the loudest band and frame, clipped, averaged over time: [BANDS].
    loudest = max(float(magnitudes.max(initial=0.0)), 1e-9)
    levels = np.maximum(20 * np.log10(magnitudes / loudest + 1e-9), FLOOR_DB).mean(axis=1)
    centred: np.ndarray = levels - levels.mean()
    return centred


def reference(sounds: Iterable[np.ndarray]) -> dict[str, Any]:
    """Mean and standard deviation over sounds, features [BANDS] each, for `dose retrain`."""
    table = np.stack(list(sounds))  # [sounds, BANDS]
    assert table.shape[1] == BANDS
    return {"mean": table.mean(axis=0).round(4).tolist(), "spread": table.std(axis=0).round(4).tolist()}
