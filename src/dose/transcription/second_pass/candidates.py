"""Candidate hits of a recording, gathered window by window: memory grows with them, not with the sound."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dose.audio import RATE
from dose.transcription.decode import peaks, vertex
from dose.transcription.front_end import BANDS, FRAME_RATE, HOP
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.windows import Window

LEAST = 0.04  # probability of a candidate; of the hits of the validation kits, 2 to 7 in 100 stay below it
NEAR = 2  # frames around a candidate in which other classes count as simultaneous
# Frames before and after a candidate over which bands are averaged: the attack, and what was there before it.
AFTER, BEFORE = (0, 4), (-6, -2)
# Bands below 300 Hz, from there to about 2.3 kHz, and above.
REGIONS = (slice(0, 24), slice(24, 48), slice(48, BANDS))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """n candidate hits, by class and time."""

    cls: np.ndarray  # int8 [n]: index in HIT_CLASSES
    seconds: np.ndarray  # float64 [n], from the start of the recording
    probability: np.ndarray  # float32 [n]: the network's
    velocity: np.ndarray  # float32 [n], 0..1
    beside: np.ndarray  # float32 [n, classes]: the highest probability of each class near the candidate
    after: np.ndarray  # float16 [n, BANDS]: log band energies of the attack
    rise: np.ndarray  # float16 [n, BANDS]: by how much they exceed those before, at least 0
    before: np.ndarray  # float32 [n, regions]: mean of the log band energies before


def window_candidates(
    onsets: np.ndarray, velocities: np.ndarray, bands: np.ndarray, window: Window
) -> Candidates:
    """The candidates that belong to a window: activations [classes, T], log band energies [BANDS, T]."""
    # Sums up to each frame, from which the mean over any frames is one difference. [BANDS, T + 1]
    sums = np.cumsum(np.pad(bands.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    columns: dict[str, list[np.ndarray]] = {f.name: [] for f in dataclasses.fields(Candidates)}
    for c in range(len(HIT_CLASSES)):
        found = [(vertex(onsets[c], frame), frame) for frame in peaks(onsets[c], LEAST)]
        found = [(at, f) for at, f in found if window.first <= max(at, 0.0) * HOP < window.last]
        frames = np.array([frame for _, frame in found], np.int64)
        after, before = (_mean(sums, frames, span) for span in (AFTER, BEFORE))
        values = {
            "cls": np.full(len(found), c, np.int8),
            "seconds": np.array([max(at, 0.0) / FRAME_RATE + window.start / RATE for at, _ in found]),
            "probability": onsets[c, frames].astype(np.float32),
            "velocity": velocities[c, frames].astype(np.float32),
            "beside": _beside(onsets, frames),
            "after": after.astype(np.float16),
            "rise": np.maximum(after - before, 0).astype(np.float16),
            "before": np.stack([before[:, r].mean(axis=1) for r in REGIONS], axis=1).astype(np.float32),
        }
        for name, column in values.items():
            columns[name].append(column)
    return Candidates(**{name: np.concatenate(parts) for name, parts in columns.items()})


def gathered(parts: Sequence[Candidates], apart: float) -> Candidates:
    """All candidates of a recording from those of its windows.

    Of two of one class less than `apart` seconds from each other, on either side of a seam, the first stays.
    """
    names = [field.name for field in dataclasses.fields(Candidates)]
    columns = {name: np.concatenate([getattr(part, name) for part in (*parts, NONE)]) for name in names}
    order = np.lexsort((columns["seconds"], columns["cls"]))
    columns = {name: column[order] for name, column in columns.items()}
    keep = np.ones(len(order), bool)
    latest = (-1, -np.inf)
    for i, (cls, seconds) in enumerate(zip(columns["cls"], columns["seconds"], strict=True)):
        keep[i] = cls != latest[0] or seconds - latest[1] >= apart
        latest = (cls, seconds) if keep[i] else latest
    return Candidates(**{name: column[keep] for name, column in columns.items()})


NONE = Candidates(
    cls=np.zeros(0, np.int8),
    seconds=np.zeros(0),
    probability=np.zeros(0, np.float32),
    velocity=np.zeros(0, np.float32),
    beside=np.zeros((0, len(HIT_CLASSES)), np.float32),
    after=np.zeros((0, BANDS), np.float16),
    rise=np.zeros((0, BANDS), np.float16),
    before=np.zeros((0, len(REGIONS)), np.float32),
)


def _mean(sums: np.ndarray, frames: np.ndarray, span: tuple[int, int]) -> np.ndarray:
    """Means of the bands over `span` around each frame, cut at the ends, [n, BANDS]."""
    low, high = (np.clip(frames + edge, 0, sums.shape[1] - 1) for edge in span)
    mean: np.ndarray = ((sums[:, high] - sums[:, low]) / np.maximum(high - low, 1)).T
    return mean


def _beside(onsets: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The highest probability of each class within NEAR frames, [n, classes]."""
    padded = np.pad(onsets, ((0, 0), (NEAR, NEAR)))
    around = frames[:, None] + np.arange(2 * NEAR + 1)
    highest: np.ndarray = padded[:, around].max(axis=2).T.astype(np.float32)
    return highest
