"""Scores of one system: per mix, and summed up over a data set with bootstrap intervals."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from dose.drums import DRUMS
from dose.evaluate.transcription.datasets import AnnotatedMix, ReferenceHits
from dose.evaluate.transcription.negatives import DrumFree, SingleDrum
from dose.evaluate.transcription.systems import onsets_of
from dose.metrics.bootstrap import Estimate, mean_estimate, ratio_estimate, resamples
from dose.metrics.transcription import (
    WINDOWS,
    Counts,
    count,
    ghost_notes,
    match,
    tempo_right,
    velocity_error,
)
from dose.transcription.hits import CLASSES_OF, HIT_CLASSES, Transcription

RESAMPLES = 1000  # behind each interval
MICRO = "kick+snare+hihat"  # the sum of the kit's drums, the figure to compare systems by
FOUND = 0.6  # share of a single drum's hits from which it counts as named right

Scores = dict[str, dict[str, Estimate]]  # class, or "all" -> metric -> figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixScores:
    """One system on one mix. NaN where a figure is not defined for it."""

    name: str
    counts: Mapping[str, tuple[Counts, ...]]  # class -> one per window of WINDOWS
    velocity_raw: float
    velocity_scaled: float
    ghosts: Counts
    tempo: float  # 1 right, 0 wrong
    tempo_octave: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumFreeScores:
    """One system on one sound without drums."""

    name: str
    kind: str
    reported: frozenset[str]  # of DRUMS


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleDrumScores:
    """One system on a drum alone."""

    name: str
    drum: str
    named: bool  # whether the drum counts as named right
    found: float  # share of its hits that are reported as that drum, within 50 ms; NaN without hits
    others: frozenset[str]  # other classes that are reported at all; open and closed hi-hats are one drum


def score_mix(mix: AnnotatedMix, found: Transcription, classes: Sequence[str]) -> MixScores:
    """Counts of the classes that both the mix annotates and the system tells apart, and the other figures."""
    references = _references(mix)
    counts, reference, reported, ghosts = {}, [], [], Counts()
    for cls in (c for c in references if c in classes):
        hits = references[cls]
        seconds, velocities = onsets_of(found, cls)
        counts[cls] = tuple(count(hits.seconds, seconds, window) for window in WINDOWS)
        if cls in DRUMS and hits.velocities is not None:
            pairs = match(hits.seconds, seconds, WINDOWS[0])
            reference.append(hits.velocities[pairs[:, 0]])
            reported.append(velocities[pairs[:, 1]])
            if cls == "snare":
                matched = np.isin(np.arange(len(hits.seconds)), pairs[:, 0])
                ghosts = ghost_notes(hits.velocities, matched)
    # One factor per recording, over all its drums: their balance is part of what is scored.
    a, b = (np.concatenate(parts) if parts else np.empty(0) for parts in (reference, reported))
    tempo = found.rhythm.tempo if found.rhythm else None
    right = [
        float("nan") if mix.tempo is None else float(tempo_right(mix.tempo, tempo, octaves=octaves))
        for octaves in (False, True)
    ]
    return MixScores(
        name=mix.name,
        counts=counts,
        velocity_raw=velocity_error(a, b, scaled=False),
        velocity_scaled=velocity_error(a, b, scaled=True),
        ghosts=ghosts,
        tempo=right[0],
        tempo_octave=right[1],
    )


def _references(mix: AnnotatedMix) -> dict[str, ReferenceHits]:
    """The reference of each drum of the kit, then of the annotated classes that are no drum themselves."""
    out: dict[str, ReferenceHits] = {}
    for drum in DRUMS:
        parts = [mix.hits[c] for c in (drum, *CLASSES_OF[drum]) if c in mix.hits]
        parts = list({id(part): part for part in parts}.values())  # kick and snare are class and drum
        if parts:
            velocities = [p.velocities for p in parts if p.velocities is not None]
            out[drum] = ReferenceHits(
                seconds=np.concatenate([p.seconds for p in parts]),
                velocities=np.concatenate(velocities) if len(velocities) == len(parts) else None,
            )
    return out | {cls: mix.hits[cls] for cls in HIT_CLASSES if cls in mix.hits and cls not in DRUMS}


def score_drum_free(sound: DrumFree, found: Transcription) -> DrumFreeScores:
    reported = frozenset(drum for drum in DRUMS if len(onsets_of(found, drum)[0]))
    return DrumFreeScores(name=sound.name, kind=sound.kind, reported=reported)


def score_single_drum(sound: SingleDrum, found: Transcription) -> SingleDrumScores:
    seconds, _ = onsets_of(found, sound.drum)
    recall = count(sound.seconds, seconds, WINDOWS[0]).recall
    others = {hit.drum for hit in found.hits if hit.drum not in CLASSES_OF[sound.drum]}
    return SingleDrumScores(
        name=sound.name, drum=sound.drum, named=recall >= FOUND, found=recall, others=frozenset(others)
    )


def score_drum_free_presence(sound: DrumFree, reported: frozenset[str]) -> DrumFreeScores:
    """`reported` are the detected drums."""
    return DrumFreeScores(name=sound.name, kind=sound.kind, reported=reported)


def score_single_drum_presence(sound: SingleDrum, reported: frozenset[str]) -> SingleDrumScores:
    """`reported` are the detected drums."""
    return SingleDrumScores(
        name=sound.name,
        drum=sound.drum,
        named=sound.drum in reported,
        found=float("nan"),
        others=reported - {sound.drum},
    )


def summarise(mixes: Sequence[MixScores], seed: int = 0) -> Scores:
    """Figures over a data set: per class, of MICRO, and of "all" (velocity, ghost notes, tempo)."""
    weights = resamples(len(mixes), RESAMPLES, seed)
    classes = list(dict.fromkeys(cls for mix in mixes for cls in mix.counts))
    rows = {cls: [mix.counts.get(cls, (Counts(),) * len(WINDOWS)) for mix in mixes] for cls in classes}
    kit = [[rows[drum][i] for drum in DRUMS if drum in rows] for i in range(len(mixes))]
    rows[MICRO] = [
        tuple(sum((counts[w] for counts in mine), Counts()) for w in range(len(WINDOWS))) for mine in kit
    ]
    scores: Scores = {}
    for cls, row in rows.items():
        figures: dict[str, Estimate | None] = {}
        for w, window in enumerate(WINDOWS):
            ms = round(1000 * window)
            one = [counts[w] for counts in row]
            hit, false, missed = (
                np.array([getattr(c, k) for c in one]) for k in ("matched", "false", "missed")
            )
            figures[f"f_{ms}ms"] = ratio_estimate(2 * hit, 2 * hit + false + missed, weights)
            figures[f"precision_{ms}ms"] = ratio_estimate(hit, hit + false, weights)
            figures[f"recall_{ms}ms"] = ratio_estimate(hit, hit + missed, weights)
            figures[f"mean_f_{ms}ms"] = mean_estimate(np.array([c.f_measure for c in one]), weights)
        scores[cls] = {name: figure for name, figure in figures.items() if figure is not None}
    ghosts = [mix.ghosts for mix in mixes]
    found, all_ghosts = (
        np.array([f(g) for g in ghosts]) for f in (lambda g: g.matched, lambda g: g.matched + g.missed)
    )
    general = {
        "velocity_error_raw": mean_estimate(np.array([m.velocity_raw for m in mixes]), weights),
        "velocity_error_scaled": mean_estimate(np.array([m.velocity_scaled for m in mixes]), weights),
        "snare_ghost_recall": ratio_estimate(found, all_ghosts, weights),
        "tempo_accuracy_1": mean_estimate(np.array([m.tempo for m in mixes]), weights),
        "tempo_accuracy_2": mean_estimate(np.array([m.tempo_octave for m in mixes]), weights),
    }
    scores["all"] = {name: figure for name, figure in general.items() if figure is not None}
    return scores


def summarise_drum_free(sounds: Sequence[DrumFreeScores], seed: int = 0) -> Scores:
    """Share of sounds in which any drum is reported, over all, per kind of sound and per reported drum."""
    groups = {"all": list(sounds)}
    for sound in sounds:
        groups.setdefault(sound.kind, []).append(sound)
    scores: Scores = {}
    for name, group in groups.items():
        weights = resamples(len(group), RESAMPLES, seed)
        values = {"false_drums": np.array([float(bool(s.reported)) for s in group])}
        if name == "all":
            values |= {f"false_{d}": np.array([float(d in s.reported) for s in group]) for d in DRUMS}
        estimates = {metric: mean_estimate(value, weights) for metric, value in values.items()}
        scores[name] = {metric: e for metric, e in estimates.items() if e is not None}
    return scores


def summarise_single_drums(sounds: Sequence[SingleDrumScores], seed: int = 0) -> Scores:
    """Per drum: share of sounds named right; of those in which any other class, and each, is reported."""
    groups = {"all": list(sounds)}
    for sound in sounds:
        groups.setdefault(sound.drum, []).append(sound)
    scores: Scores = {}
    for name, group in groups.items():
        weights = resamples(len(group), RESAMPLES, seed)
        values = {
            "named_right": np.array([float(s.named) for s in group]),
            "hits_found": np.array([s.found for s in group]),
            "others": np.array([float(bool(s.others)) for s in group]),
        }
        for cls in HIT_CLASSES:
            values[f"reported_{cls}"] = np.array([float(cls in s.others) for s in group])
        estimates = {metric: mean_estimate(value, weights) for metric, value in values.items()}
        scores[name] = {metric: e for metric, e in estimates.items() if e is not None}
    return scores
