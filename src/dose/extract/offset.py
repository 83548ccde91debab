"""A constant offset (DC) is taken out of the input before anything is heard in it.

The models' lowest band takes an offset for a tone that never ends: a kick rings three times as long, and a
hi-hat gets a bass. Recordings that have none pass through untouched, to the bit.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dose.audio import RATE

# Mean and median of the samples, of one sign, against their effective value. What ordinary sound leaves of
# both falls with its length: at most 0.06 in one-shots, 0.031 in 500 mixes of RMOD (4 s), 0.01 in the bundled
# loops. An offset of 0.03 already makes a kick half as long again.
SHARE_SECONDS, LEAST = 0.16, 0.02
# An offset that wanders, or turns its sign, has no mean over a block, but over a second of it.
WANDERING = 0.5, 0.05  # against the effective value of that second, and of the block
JUDGED = 4 * RATE  # samples at least that are looked at together, where there are so many
CUTOFF = 10.0  # Hz, second-order Butterworth: -0.01 dB at 50 Hz


def without_offset(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks [C, N] at 44.1 kHz, high-passed from the first one that has an offset; all others unchanged.

    The filter keeps its state from block to block, so that there are no seams. It starts on the offset, so
    that the step from silence is no click.
    """
    sos: Any = None
    state: Any = None
    first = True
    for block in _pieces(blocks):
        if sos is None and has_offset(block):
            from scipy import signal  # a second of start-up, for the few files that need it

            sos = signal.butter(2, CUTOFF, "highpass", fs=RATE, output="sos")
            settled = signal.sosfilt_zi(sos)[:, None, :]  # of a constant 1
            start = block.mean(axis=1) if first else np.zeros(len(block))
            state = settled * start[None, :, None]
        first = False
        if sos is not None:
            filtered, state = signal.sosfilt(sos, block, axis=1, zi=state)
            block = filtered.astype(np.float32)
        yield block


def _pieces(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in blocks of JUDGED at least, but for the last."""
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        if sum(part.shape[1] for part in held) >= JUDGED:
            yield held[0] if len(held) == 1 else np.concatenate(held, axis=1)
            held = []
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held, axis=1)


def has_offset(block: np.ndarray) -> bool:
    """Whether a channel of [C, N] lies off zero as a whole.

    Mean and median must agree: a decaying note leaves a mean, a pulse-shaped one a median, few leave both.
    """
    share = max(LEAST, SHARE_SECONDS * RATE / max(1, block.shape[1]))
    heard = [channel[channel != 0] for channel in block]  # zeros are silence added later
    return any(_has_offset(channel, share) or _wanders(channel) for channel in heard)


def _wanders(channel: np.ndarray) -> bool:
    if channel.size < 2 * RATE:
        return False
    least = WANDERING[1] * float(np.sqrt(np.mean(channel**2, dtype=np.float64)))
    seconds = (channel[at : at + RATE] for at in range(0, channel.size - RATE + 1, RATE))
    return any(
        abs(float(one.mean(dtype=np.float64))) > least and _has_offset(one, WANDERING[0]) for one in seconds
    )


def _has_offset(channel: np.ndarray, share: float) -> bool:
    if not channel.size:
        return False
    mean = float(channel.mean(dtype=np.float64))
    least = share * float(np.sqrt(max(0.0, float(np.mean(channel**2, dtype=np.float64)) - mean**2)))
    if abs(mean) <= least:  # mostly so; the median takes longer
        return False
    median = float(np.median(channel))
    return abs(median) > least and median * mean > 0
