"""Beat tracking by dynamic programming, after Ellis (2007).

The algorithm, and in the tests the beats, of `librosa.beat.beat_track`. Importing that takes 2.8 s of CPU
time in every process, half of it to compile one function anew: more than the extraction from a short loop.
"""

import numpy as np


def track_beats(onsets: np.ndarray, periods: np.ndarray, tightness: float) -> np.ndarray:
    """Frames of the beats, [B], rising: strong onsets at distances near the period.

    `onsets` [T] is the onset strength, not negative; `periods` [T] the distance of beats around each frame,
    in whole frames, 2 or more; `tightness` the penalty of a squared deviation from it in natural logarithms,
    against onsets of unit standard deviation. No beats without onsets.
    """
    sounding = np.flatnonzero(onsets)
    if not len(sounding):
        return np.empty(0, int)
    strength = _smoothed(onsets / max(onsets.std(ddof=1), 1e-9), periods)
    total, previous = _best_paths(strength, periods, tightness)
    previous[: np.argmax(strength >= 0.01 * strength.max())] = -1  # no beats in the silence before the music
    beats = [_last_beat(total)]
    while previous[beats[-1]] >= 0:
        beats.append(int(previous[beats[-1]]))
    found = np.array(beats[::-1])
    # Nor far from all onsets, where only the penalty decides.
    near = (found >= sounding[0] - periods[found]) & (found <= sounding[-1] + periods[found])
    out: np.ndarray = found[near]
    return out


def _smoothed(onsets: np.ndarray, periods: np.ndarray) -> np.ndarray:
    """Onsets under bells of 1/32 of the period, [T]: a beat may miss its onset by that much."""
    reach = min(periods.max() // 5, len(onsets) - 1)  # 6 standard deviations
    padded = np.pad(onsets, reach)
    out = np.zeros(len(onsets))
    for distance in range(-reach, reach + 1):
        bell = np.exp(-0.5 * (32 * distance / periods) ** 2)
        out += bell * padded[reach + distance : len(padded) - reach + distance]
    return out


def _best_paths(strength: np.ndarray, periods: np.ndarray, tightness: float) -> tuple[np.ndarray, np.ndarray]:
    """Score of the best beats that end at each frame, [T], and the beat before it, [T]; -1 where none is."""
    longest = 2 * periods.max()
    lags = np.arange(longest, 0, -1)
    values, kind = np.unique(periods, return_inverse=True)
    penalty = tightness * np.log(lags / values[:, None]) ** 2  # [periods, lags]
    shortest = np.rint(values / 2)[:, None]
    penalty[(lags < shortest) | (lags > 2 * values[:, None])] = np.inf
    # Padded, so that the frames before the recording score -inf. Row i of the view: what precedes frame i.
    padded = np.full(longest + len(strength), -np.inf)
    before = np.lib.stride_tricks.sliding_window_view(padded, longest)
    total, previous = padded[longest:], np.empty(len(strength), int)
    # No frame depends on the `block - 1` frames before it, so as many are computed at once.
    block = int(shortest.min())
    for start in range(0, len(strength), block):
        part = slice(start, min(start + block, len(strength)))
        options = before[part] - penalty[kind[part]]  # [block, lags]
        chosen = options.argmax(axis=1)
        best = options[np.arange(len(chosen)), chosen]
        total[part] = strength[part] + np.where(best > -np.inf, best, 0)
        previous[part] = np.where(best > -np.inf, np.arange(part.start, part.stop) - lags[chosen], -1)
    return total, previous


def _last_beat(total: np.ndarray) -> int:
    """The last peak of the score [T] that reaches half of their median."""
    rises, falls = np.diff(total, prepend=np.inf) > 0, np.diff(total, append=-np.inf) <= 0
    peaks = np.flatnonzero(rises & falls)
    return int(peaks[total[peaks] >= np.median(total[peaks]) / 2][-1]) if len(peaks) else len(total) - 1
