"""From the network's activations to hits: peaks in time, their velocities, and one hi-hat at a time."""

import itertools

import numpy as np

from dose.transcription.front_end import FRAME_RATE
from dose.transcription.hits import HIT_CLASSES, Hit

THRESHOLD = 0.5  # of a hit's probability; right for all classes, since the network is calibrated for it
# Frames: a hit stands out among so many frames on either side. 32nd notes at 160 BPM are 4.7 frames apart.
NEIGHBOURHOOD = 2
SAME_HAT = 0.03  # seconds: a closed and an open hi-hat this close are one stroke


def decode(probabilities: np.ndarray, velocities: np.ndarray, threshold: float = THRESHOLD) -> list[Hit]:
    """Hits by time from onset probabilities and velocities (0..1), both [classes, T]."""
    hits: list[Hit] = []
    for c, name in enumerate(HIT_CLASSES):
        hits += [
            Hit(
                seconds=max(vertex(probabilities[c], frame), 0.0) / FRAME_RATE,
                drum=name,
                velocity=int(np.clip(round(float(velocities[c, frame]) * 127), 1, 127)),
                probability=float(probabilities[c, frame]),
            )
            for frame in peaks(probabilities[c], threshold)
        ]
    return one_hat_at_a_time(sorted(hits, key=lambda h: (h.seconds, h.drum)))


def peaks(row: np.ndarray, threshold: float) -> list[int]:
    """Frames at or above the threshold that no frame within NEIGHBOURHOOD exceeds; a plateau counts once."""
    padded = np.pad(row, NEIGHBOURHOOD, constant_values=-1.0)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURHOOD + 1).max(axis=1)  # [T]
    found: list[int] = []
    for frame in np.flatnonzero((row >= threshold) & (row >= highest)):
        if not found or frame - found[-1] > NEIGHBOURHOOD:
            found.append(int(frame))
    return found


def vertex(row: np.ndarray, frame: int) -> float:
    """The place of a peak between frames: the vertex of a parabola through three log probabilities."""
    if not 0 < frame < len(row) - 1:
        return float(frame)
    a, b, c = np.log(row[frame - 1 : frame + 2] + 1e-6)
    curvature = a - 2 * b + c
    shift = 0.5 * (a - c) / curvature if curvature < 0 else 0.0
    return frame + float(np.clip(shift, -0.5, 0.5))


def one_hat_at_a_time(hits: list[Hit]) -> list[Hit]:
    """Hits by time; of a closed and an open hi-hat that coincide the more probable one: they are one pair of
    plates."""
    weaker: set[int] = set()
    hats = [h for h in hits if h.drum.endswith("hihat")]
    for a, b in itertools.pairwise(hats):
        if a.drum != b.drum and b.seconds - a.seconds < SAME_HAT:
            weaker.add(id(min(a, b, key=lambda h: h.probability)))
    return [h for h in hits if id(h) not in weaker]
