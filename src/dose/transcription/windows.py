"""A recording as overlapping windows of 4 s, so that memory does not grow with its length."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import MIX_SECONDS

WINDOW = int(MIX_SECONDS * RATE)  # samples
STEP = WINDOW // 2  # samples between the starts of two windows, so that each hit has room around it once
# Samples: a sound at least this long and shorter than a window counts as a loop. Chosen by hand.
SHORTEST_LOOP = RATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """One window of a recording."""

    audio: np.ndarray  # float32 [1 or 2, WINDOW]
    start: int  # samples into the recording
    length: int  # samples of the recording; the rest, if any, repeats or pads it
    # The part whose hits are this window's: windows overlap, and every moment belongs to the window in which
    # it lies farther from the edges.
    first: int  # samples into the window
    last: int  # samples into the window, not included


def cut(blocks: Iterable[np.ndarray]) -> Iterator[Window]:
    """Windows of a recording given as blocks [C, N]: one every STEP samples, the last one ends with it.

    A recording shorter than a window is repeated where it is SHORTEST_LOOP or longer, since a bar of drums is
    usually meant to be; a shorter one is padded with zeros. More than two channels become one.
    """
    held, past, start = np.zeros((1, 0), np.float32), np.zeros((1, 0), np.float32), 0
    first = 0  # where in the window at `start` the part begins that no window has taken yet
    for block in blocks:
        part = block if block.shape[0] <= 2 else audio.downmix(block)[None]
        held = np.concatenate([held, part], axis=1) if held.shape[1] else part
        while held.shape[1] > WINDOW:
            last = STEP + STEP // 2
            yield Window(audio=held[:, :WINDOW].copy(), start=start, length=WINDOW, first=first, last=last)
            past, held, start = held[:, :STEP], held[:, STEP:], start + STEP
            first = last - STEP
    # The rest is at most a window: a shorter one is completed with the samples just before it.
    lacking = min(WINDOW - held.shape[1], past.shape[1])
    if lacking:
        held, start = np.concatenate([past[:, -lacking:], held], axis=1), start - lacking
    if length := held.shape[1]:
        yield Window(audio=_filled(held), start=start, length=length, first=first + lacking, last=length)


def _filled(sound: np.ndarray) -> np.ndarray:
    """[C, N] to [C, WINDOW]."""
    times = -(-WINDOW // sound.shape[1]) if sound.shape[1] >= SHORTEST_LOOP else 1
    return audio.fit_length(np.tile(sound, (1, times)), WINDOW).copy()
