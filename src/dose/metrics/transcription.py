"""Drum transcription: onset F-measure, velocity error, ghost-note recall and tempo accuracy.

Definitions:
- A reported onset is right if it is matched with a reference onset of its class within the window: 50 ms, as
  in MIREX drum transcription and mir_eval, or the stricter 20 ms. The matching is one to one and as large as
  possible (mir_eval.util.match_events; Raffel et al., 2014). Precision, recall and F follow from the counts
  of matched, false and missed onsets. Over a corpus the counts are summed over all mixes first (micro). The
  mean of the mixes' own F, in which sparse mixes weigh as much as dense ones, is reported beside it.
- Velocity error: mean absolute difference of matched hits, in MIDI units 1..127; raw, and after the factor
  per recording that minimises the squared difference, since a mix does not tell how hard its drums were hit.
- Ghost-note recall: share of reference onsets of a velocity below 50 that are matched. Louder neighbours
  mask them, so that a system may miss all of them at a high F.
- Tempo accuracy 1: within 4 % of the reference; accuracy 2: of 1/3, 1/2, 1, 2 or 3 times the reference
  (Gouyon et al., 2006).

Shapes: N reference onsets, M reported onsets, K matched pairs.
"""

import dataclasses

import numpy as np

WINDOWS = (0.05, 0.02)  # seconds
GHOST = 50  # MIDI velocity: softer snare hits are ghost notes; by hand, after the accents of sample packs
TEMPO_TOLERANCE = 0.04  # share of the reference
OCTAVES = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Onsets of one class: in one mix, or summed over mixes."""

    matched: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            matched=self.matched + other.matched,
            false=self.false + other.false,
            missed=self.missed + other.missed,
        )

    @property
    def precision(self) -> float:
        """0..1; NaN where nothing is reported."""
        return _ratio(self.matched, self.matched + self.false)

    @property
    def recall(self) -> float:
        """0..1; NaN where the reference is empty."""
        return _ratio(self.matched, self.matched + self.missed)

    @property
    def f_measure(self) -> float:
        """0..1; NaN where reference and report are empty: mir_eval's 0 would punish a right answer."""
        return _ratio(2 * self.matched, 2 * self.matched + self.false + self.missed)


def match(reference: np.ndarray, reported: np.ndarray, window: float) -> np.ndarray:
    """Matched pairs of onsets in seconds, [N] and [M] in any order: indices [K, 2], each onset at most once.

    Raises ValueError for onsets that are not finite or negative, and for a window that is not positive.
    """
    from mir_eval.util import match_events

    reference, reported = _onsets(reference), _onsets(reported)
    if not window > 0:
        raise ValueError(f"the window must be positive, not {window}")
    # match_events asks for sorted events; the indices are led back afterwards.
    by_time = np.argsort(reference, kind="stable"), np.argsort(reported, kind="stable")
    pairs = match_events(reference[by_time[0]], reported[by_time[1]], window)
    index = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return np.stack([order[index[:, i]] for i, order in enumerate(by_time)], axis=1)


def count(reference: np.ndarray, reported: np.ndarray, window: float) -> Counts:
    """Matched, false and missed onsets of one class in one mix, [N] and [M] in seconds. Raises as `match`."""
    matched = len(match(reference, reported, window))
    return Counts(matched=matched, false=len(reported) - matched, missed=len(reference) - matched)


def mean_f_measure(mixes: list[Counts]) -> float:
    """The mean of the mixes' own F over those where it is defined; NaN where there is none."""
    values = [f for counts in mixes if not np.isnan(f := counts.f_measure)]
    return float(np.mean(values)) if values else float("nan")


def velocity_error(reference: np.ndarray, reported: np.ndarray, *, scaled: bool) -> float:
    """Mean absolute difference of matched velocities of one recording, [K] and [K]; MIDI units.

    `scaled` multiplies the reported ones by the factor that minimises the squared difference. NaN for K = 0.
    Raises ValueError for arrays of different shapes.
    """
    reference, reported = np.asarray(reference, np.float64), np.asarray(reported, np.float64)
    if reference.shape != reported.shape or reference.ndim != 1:
        raise ValueError(f"velocities must be two arrays [K], not {reference.shape} and {reported.shape}")
    if not len(reference):
        return float("nan")
    energy = float(reported @ reported)
    if scaled and energy > 0:
        reported = reported * (float(reference @ reported) / energy)
    return float(np.abs(reference - reported).mean())


def ghost_notes(velocities: np.ndarray, matched: np.ndarray) -> Counts:
    """Ghost notes that are found: velocities [N] of the reference and whether each is matched, [N] bool."""
    ghost = np.asarray(velocities) < GHOST
    found = int((ghost & np.asarray(matched, bool)).sum())
    return Counts(matched=found, missed=int(ghost.sum()) - found)


def tempo_right(reference: float, reported: float | None, *, octaves: bool) -> bool:
    """Whether a tempo (BPM) is within 4 % of the reference, or of a multiple of it; None is wrong.

    Raises ValueError unless the reference is positive.
    """
    if not reference > 0:
        raise ValueError(f"the reference tempo must be positive, not {reference}")
    if reported is None:
        return False
    factors = OCTAVES if octaves else (1.0,)
    return any(abs(reported / (reference * f) - 1) <= TEMPO_TOLERANCE for f in factors)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _onsets(times: np.ndarray) -> np.ndarray:
    times = np.asarray(times, np.float64).reshape(-1)
    if not np.isfinite(times).all() or (times < 0).any():
        raise ValueError("onsets must be finite and not negative")
    return times
