"""What the second pass knows of a candidate: its own figures, the others of its class, and the pattern."""

import numpy as np

from dose.transcription.front_end import FRAME_RATE
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.second_pass.candidates import REGIONS, Candidates

CLASSES = len(HIT_CLASSES)
# Frames: distances of repetition, from a short beat to a long bar; the strongest of each range is used.
LAGS = ((25, 80), (80, 160), (160, 320))
TOLERANCE = 3  # frames by which a repetition may be early or late
LEAST_WEIGHT = 0.05  # of the other hits of a class, below which they say nothing about its sound
# Of each class: two figures of its own, the other classes beside it, likeness to each class, level,
# repetition, two figures of each class in the recording, and energies by region.
COUNT = 2 + (CLASSES - 1) + CLASSES + 1 + 3 * len(LAGS) + 2 * CLASSES + 2 * len(REGIONS)


def features(found: Candidates, cls: int) -> np.ndarray:
    """Features float32 [n, COUNT] of the candidates of a class; NaN where there is nothing to compare."""
    own = found.cls == cls
    others = [c for c in range(CLASSES) if c != cls]
    return np.column_stack(
        [
            _logit(found.probability[own]),
            found.velocity[own],
            _logit(found.beside[own][:, others]),
            *(_likeness(found, cls, other) for other in range(CLASSES)),
            _level(found, own),
            _repetition(found, own),
            np.tile(_recording(found), (own.sum(), 1)),
            *(found.rise[own][:, region].astype(np.float32).mean(axis=1) for region in REGIONS),
            found.before[own],
        ]
    ).astype(np.float32)


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-5, 1 - 1e-5)
    logit: np.ndarray = np.log(p / (1 - p))
    return logit


def _typical(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of `values` [n, BANDS] the weighted mean of all others, and their weight [n]."""
    left = weight.sum() - weight
    without = (weight @ values)[None] - weight[:, None] * values
    return without / np.maximum(left, 1e-6)[:, None], left


def _likeness(found: Candidates, cls: int, other: int) -> np.ndarray:
    """Cosine of each candidate's rise with the typical one of a class, itself left out, [n]."""
    own, rows = found.cls == cls, found.cls == other
    rises, weight = found.rise[rows].astype(np.float64), _weight(found.probability[rows])
    mine = found.rise[own].astype(np.float64)
    if cls == other:
        typical, left = _typical(rises, weight)
    else:
        typical, left = (weight @ rises / max(weight.sum(), 1e-6))[None], np.full(len(mine), weight.sum())
    norms = np.linalg.norm(typical, axis=1) * np.linalg.norm(mine, axis=1)
    cosine = (typical * mine).sum(axis=1) / np.maximum(norms, 1e-6)
    return np.where(left > LEAST_WEIGHT, cosine, np.nan)


def _weight(probability: np.ndarray) -> np.ndarray:
    """How much a hit says about the sound of its class."""
    weight: np.ndarray = probability.astype(np.float64) ** 2
    return weight


def _level(found: Candidates, own: np.ndarray) -> np.ndarray:
    """Minus the mean distance of each candidate's attack from the class's typical one, [n]."""
    after = found.after[own].astype(np.float64)
    typical, left = _typical(after, _weight(found.probability[own]))
    return np.where(left > LEAST_WEIGHT, -np.abs(after - typical).mean(axis=1), np.nan)


def _repetition(found: Candidates, own: np.ndarray) -> np.ndarray:
    """Of each lag the class's probability that far after, that far before, and their mean, [n, 3 * lags]."""
    frames = np.round(found.seconds * FRAME_RATE).astype(np.int64)
    length = int(frames.max(initial=0)) + 1
    everything, row = np.zeros(length), np.zeros(length)
    np.add.at(everything, frames, found.probability)
    np.maximum.at(row, frames[own], found.probability[own])
    # The highest within TOLERANCE, so that a repetition need not be exact.
    padded = np.pad(row, TOLERANCE)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * TOLERANCE + 1).max(axis=1)
    columns = []
    for lag in _lags(everything):
        both = np.full((2, own.sum()), np.nan)
        if lag:
            both[:] = [_at(near, frames[own] + lag), _at(near, frames[own] - lag)]
        inside = (~np.isnan(both)).sum(axis=0)
        columns += [*both, np.where(inside > 0, np.nansum(both, axis=0) / np.maximum(inside, 1), np.nan)]
    return np.column_stack(columns)


def _at(row: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Values of a row at frames; NaN outside."""
    inside = (frames >= 0) & (frames < len(row))
    return np.where(inside, row[np.clip(frames, 0, len(row) - 1)], np.nan)


def _lags(everything: np.ndarray) -> list[int]:
    """The strongest repetition of each range of LAGS, by autocorrelation; 0 where there is none."""
    # A triangle of two frames, since hits are not exact.
    smooth = np.convolve(everything, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3], mode="same")[: len(everything)]
    smooth, n = smooth - smooth.mean(), len(everything)
    spectrum = np.fft.rfft(smooth, 2 * n)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / np.arange(n, 0, -1)
    return [
        low + int(np.argmax(correlation[low : min(high, n - 1)])) if low < min(high, n - 1) else 0
        for low, high in LAGS
    ]


def _recording(found: Candidates) -> np.ndarray:
    """Of each class the highest probability and the number of probable hits per second, [2 * classes]."""
    seconds = max(float(found.seconds.max(initial=0)), 1.0)
    out = np.zeros((CLASSES, 2))
    for c in range(CLASSES):
        probability = found.probability[found.cls == c]
        out[c] = probability.max(initial=0), (probability > 0.5).sum() / seconds
    return out.ravel()
