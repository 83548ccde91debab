"""The record's own sound where the drum stands free in it, the model's where it does not.

A draw has the right levels, but its grain is made up. At a hit the mix holds the very sound that is looked
for, and others on top. In each band of each frame the level that the listener expects says how much of the
mix can be the drum: as much of the mix is taken, and the draw fills the rest (a time-frequency mask as in
separation, but of one hit and with something to put where the mask is closed).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from dose.audio import RATE
from dose.extract import spectral_match
from dose.extract.segments import Segment
from dose.tokens import band_energies

LEAD = int(0.0136 * RATE)  # samples by which a found hit may be early or late
STEP = 32  # samples: how finely an excerpt is placed
BEFORE, ATTACK = 8 * STEP, 4096  # samples by which it is placed: silence, then the draw
COMPARED = 20  # frames of an excerpt that are held against the expectation
HEARD = 1e-3  # power, relative to the loudest: -30 dB; what is quieter says nothing of an excerpt's level
SILENT = spectral_match.FLOOR**4  # power: what is expected below that is not taken from a mix
MOST = 3.0  # nepers of power: a band farther off counts as this far
LIKELY = 0.3  # how much a hit's likelihood counts against its misfit
TRUSTED, DOUBTED = 0.9, 1.2  # misfits between which an excerpt's share falls from all to nothing
OPEN = 1.5  # power of the mask: above 1, what is half something else is taken less than half


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceSegment:
    """A hit in the mix, at the level of what is expected."""

    sound: np.ndarray  # float32 [N]
    power: np.ndarray  # [BANDS, T], relative to the expectation's loudest
    trust: float  # 0..1


def source_segments(
    shot: np.ndarray, expected: np.ndarray, windows: Sequence[Segment]
) -> list[SourceSegment]:
    """The hits of `windows` that are like the picture `expected` [BANDS, T], placed so that they start as the
    draw `shot` [N] does; the one that stands the most free first."""
    wanted, found = _power(expected), list[tuple[float, SourceSegment]]()
    for window in windows:
        mono = np.pad(window.mono, (BEFORE + LEAD, LEAD + len(shot)))
        for hit, likelihood in zip(window.hits, window.likelihood, strict=True):
            around = mono[hit : hit + BEFORE + 2 * LEAD + len(shot)]
            sound = around[_place(around, shot) :][: len(shot)]
            power = band_energies.one_shot_band_energies(sound[None], expected.shape[1])[0]
            level, misfit = _level(power, wanted)
            misfit -= LIKELY * likelihood
            if misfit < DOUBTED:
                trust = min(1.0, (DOUBTED - misfit) / (DOUBTED - TRUSTED))
                one = SourceSegment(sound=sound / np.sqrt(level), power=power / level, trust=trust)
                found.append((misfit, one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def blend_source(shot: np.ndarray, expected: np.ndarray, excerpt: SourceSegment) -> tuple[np.ndarray, float]:
    """The draw [N] with as much of the excerpt as the picture `expected` [BANDS, T] lets through, and which
    share of its power that is, 0..1."""
    top = float(band_energies.one_shot_band_energies(shot[None], expected.shape[1]).max(initial=0.0))
    if top == 0:
        return shot, 0.0
    wanted = np.maximum(_power(expected) - SILENT, 0)
    mask = np.sqrt(np.clip(wanted / (excerpt.power + 1e-9), 0, 1))
    draw, real = spectral_match.spectrum(shot / np.sqrt(top)), spectral_match.spectrum(excerpt.sound)
    share = torch.from_numpy(spectral_match.on_grid(mask, draw.shape[1]).astype(np.float32))
    borrowed, kept = excerpt.trust * share**OPEN * real, (1 - excerpt.trust * share) * draw
    own, others = (float(part.abs().square().sum()) for part in (borrowed, kept))
    return spectral_match.sound(borrowed + kept, shot), own / (own + others)


def _power(picture: np.ndarray) -> np.ndarray:
    """Of what `levels.loudness` tells the root of the magnitude."""
    return np.maximum(picture, 0) ** 4


def _place(around: np.ndarray, shot: np.ndarray) -> int:
    """Where in `around` a sound begins whose rises are most like the draw's, BEFORE to BEFORE + 2 LEAD.

    The silence before the draw counts: a decay looks like itself however late one enters it.
    """
    mine = _rises(np.pad(shot[:ATTACK], (BEFORE, 0)))
    views = np.lib.stride_tricks.sliding_window_view(_rises(around[: BEFORE + 2 * LEAD + ATTACK]), len(mine))
    alike = views @ mine / (np.linalg.norm(views, axis=1) + 1e-9)
    return BEFORE + int(alike.argmax()) * STEP


def _rises(sound: np.ndarray) -> np.ndarray:
    """Magnitude of the differenced sound in steps of STEP samples: high bands, which place a hit, count."""
    steps = np.diff(sound, prepend=0)[: len(sound) // STEP * STEP].reshape(-1, STEP)
    return np.sqrt(np.square(steps).sum(axis=1))


def _level(power: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """By how much an excerpt's band powers lie above the wanted ones, and how far from there they scatter
    (mean of absolute nepers; medians and means are weighted by the wanted magnitude)."""
    early = wanted[:, :COMPARED]
    heard = early > HEARD
    if not heard.any():
        return 1.0, np.inf
    ratio, weight = np.log(power[:, :COMPARED][heard] + 1e-12) - np.log(early[heard]), np.sqrt(early[heard])
    order = np.argsort(ratio)
    so_far = np.cumsum(weight[order])
    middle = float(ratio[order][np.searchsorted(so_far, so_far[-1] / 2)])
    off = np.minimum(np.abs(ratio - middle), MOST)
    return float(np.exp(middle)), float((off * weight).sum() / weight.sum())
