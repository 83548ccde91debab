"""Coherent average of a drum's hits in the mix: what they share is the drum, what differs is other sounds.

In produced music a drum is one sample played many times. Placed to the sample and averaged, its hits keep
that sample while everything else falls by 10 log10(hits) dB. Hits whose attacks do not agree (another drum, a
second snare, a live player) are not averaged. Constants were chosen on the realistic validation set
(docs/extract.md).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dose.dsp.stft import istft, stft
from dose.extract.segments import Segment
from dose.extract.source.blend import (
    SourceSegment,
    misfit_of,
    source_mask,
    source_segments,
    trust_of,
)
from dose.extract.spectral_match import stft_gains
from dose.tokens import band_energies
from dose.transcription.onsets import find_onsets

CONSIDERED = 64  # hits of a recording, spread over its segments: a second of computation for three drums
HITS_PER_SEGMENT = (4, 16)  # least and most of them in one segment
MOST_HITS = 32  # of a recording, those that fit the expectation best
FEW = 5  # hits that fit the expectation: with fewer the best single one is as good as an average
SAME_HIT = 441  # samples, 10 ms: hits this close are one, met in two windows that overlap
REACH = 64  # samples, 1.5 ms: by how much hits that lie on the alignment's grid may still be apart
ATTACK = 4096  # samples that are compared, 93 ms
AGREEMENT = 0.5  # correlation of differentiated attacks from which on two hits are the same sample
UNCONFIRMED = 0.5  # of a hit's trust, where no other agrees with it: it may be another drum
WEIGHT_FLOOR = 1e-3  # power added to what masks a hit, relative to its loudest: no hit counts without limit


def averages(
    shot: np.ndarray, expected: np.ndarray, segments: Sequence[Segment], drum: str
) -> list[SourceSegment]:
    """The averages of hits that agree, those of most hits first; hits that agree with no other are left out.

    `shot` [N] is the sample, `expected` [BANDS, T] the expected spectrogram. Where no two hits agree, as
    those of a live player, the best one is given with less trust.
    """
    found = source_segments(shot, expected, _all_hits(segments, drum))[:MOST_HITS]
    # So few need not agree: single hits, of the onsets that condition the model.
    if len(found) < FEW:
        return source_segments(shot, expected, segments)
    wanted = band_energies.expand_power(expected)
    left, groups = [(source, _attack(source, wanted)) for source in found], list[list[SourceSegment]]()
    while left:
        # The best hit that is left, and all that agree with it, placed to the sample.
        (anchor, attack), *others = left
        group, left = [anchor], []
        for source, own in others:
            lag = _lag(own, attack)
            if lag is None:
                left.append((source, own))
            else:
                group.append(dataclasses.replace(source, sound=_shifted(source.sound, lag)))
        groups.append(group)
    # Stable: of equally many hits, those that fit the expectation best.
    groups.sort(key=len, reverse=True)
    agreed = [_average(group, wanted) for group in groups if len(group) > 1]
    return agreed or [dataclasses.replace(hit, trust=UNCONFIRMED * hit.trust) for hit in found[:1]]


def _all_hits(segments: Sequence[Segment], drum: str) -> list[Segment]:
    """The segments with all hits of the drum, each once."""
    least, most = HITS_PER_SEGMENT
    count = min(max(CONSIDERED // max(len(segments), 1), least), most)
    seen: list[int] = []
    complete = []
    for segment in segments:
        hits = list(zip(segment.onsets, segment.likelihood, strict=True))
        if segment.activations is not None:
            hits = [(o.start, o.likelihood) for o in find_onsets(segment.activations, drum, count)]
        new = []
        for start, likelihood in hits:
            at = segment.start + start % segment.period
            if all(abs(at - other) > SAME_HIT for other in seen):
                seen.append(at)
                new.append((start, likelihood))
        starts, likelihoods = tuple(s for s, _ in new), tuple(p for _, p in new)
        complete.append(dataclasses.replace(segment, onsets=starts, likelihood=likelihoods))
    return complete


def _attack(source: SourceSegment, wanted: np.ndarray) -> np.ndarray:
    """The hit's differentiated attack [ATTACK + REACH] under the expectation's mask: the drum's part."""
    spectrum = stft(source.sound)
    masked = istft(spectrum * source_mask(source, wanted, spectrum.shape[1]), len(source.sound))
    return np.diff(masked[: ATTACK + REACH], prepend=0.0)


def _lag(attack: np.ndarray, anchor: np.ndarray) -> int | None:
    """By how many samples an attack comes after the anchor's; None where the two are not one sample."""
    padded = np.pad(attack, (REACH, 0))[: ATTACK + 2 * REACH]
    views = np.lib.stride_tricks.sliding_window_view(padded, ATTACK)  # [2 * REACH + 1, ATTACK]
    template = anchor[:ATTACK]
    correlation = views @ template / (np.linalg.norm(views, axis=1) * np.linalg.norm(template) + 1e-12)
    best = int(correlation.argmax())
    return best - REACH if correlation[best] >= AGREEMENT else None


def _shifted(sound: np.ndarray, lag: int) -> np.ndarray:
    """`sound` [N] earlier by `lag` samples (later where it is negative)."""
    return np.pad(sound, (max(-lag, 0), max(lag, 0)))[max(lag, 0) :][: len(sound)]


def _average(hits: Sequence[SourceSegment], wanted: np.ndarray) -> SourceSegment:
    """The weighted mean of the hits' spectra: a hit counts the more in a band, the less else sounds there."""
    total: Tensor | float = 0.0
    weights: Tensor | float = 0.0
    for hit in hits:
        spectrum = stft(hit.sound)  # [bins, columns]
        weight = 1 / (np.maximum(hit.power - wanted, 0) + WEIGHT_FLOOR)  # [BANDS, T]
        # Interpolated as logarithms, since weights differ by orders of magnitude.
        grid = stft_gains(np.log(weight), spectrum.shape[1]).exp()
        total, weights = total + spectrum * grid, weights + grid
    assert isinstance(total, Tensor)
    sound = istft(total / weights, len(hits[0].sound))
    power = band_energies.one_shot_band_energies(sound[None], wanted.shape[1])[0]
    level, misfit = misfit_of(power, wanted)
    # Never less than the best hit alone: what is averaged agrees with it.
    trust = max(trust_of(misfit), hits[0].trust)
    return SourceSegment(sound=sound / np.sqrt(level), power=power / level, trust=trust, hits=len(hits))
