"""Removes a constant offset (DC) from the input before anything else reads it.

In the models' lowest band an offset looks like an endless tone: a kick rings three times as long, and a
hi-hat gets a bass. Recordings without an offset are unchanged, to the bit.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dose.audio import RATE

# Thresholds on |mean| and |median| of the samples relative to their RMS: SHARE_SECONDS divided by the length
# in seconds, at least MIN_SHARE. Measured without an offset: at most 0.06 in one-shots, 0.031 in 500 mixes of
# RMOD (4 s), 0.01 in the bundled loops. An offset of 0.03 already makes a kick half as long again.
SHARE_SECONDS, MIN_SHARE = 0.16, 0.02
# A drifting offset averages out over a block, but not over one second of it. Thresholds on that second's
# |mean| relative to the RMS of the second and of the block; chosen by hand.
DRIFT_SHARE, DRIFT_BLOCK_SHARE = 0.5, 0.05
MIN_BLOCK = 4 * RATE  # samples that are examined together, unless the input is shorter
CUTOFF = 10.0  # Hz, second-order Butterworth: -0.01 dB at 50 Hz


def without_offset(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks [C, N] at 44.1 kHz, high-passed from the first one with an offset on; the ones before unchanged.

    The filter keeps its state between blocks, so that there are no seams, and starts settled on the first
    block's offset, so that there is no click.
    """
    sos: Any = None
    state: Any = None
    first = True
    for block in _at_least_min_block(blocks):
        if sos is None and has_offset(block):
            from scipy import signal  # a second of start-up, for the few files that need it

            sos = signal.butter(2, CUTOFF, "highpass", fs=RATE, output="sos")
            settled = signal.sosfilt_zi(sos)[:, None, :]  # state after a constant 1, [sections, 1, 2]
            start = block.mean(axis=1) if first else np.zeros(len(block))
            state = settled * start[None, :, None]
        first = False
        if sos is not None:
            filtered, state = signal.sosfilt(sos, block, axis=1, zi=state)
            block = filtered.astype(np.float32)
        yield block


def _at_least_min_block(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same samples in blocks of at least MIN_BLOCK, except for the last."""
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        if sum(part.shape[1] for part in held) >= MIN_BLOCK:
            yield held[0] if len(held) == 1 else np.concatenate(held, axis=1)
            held = []
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held, axis=1)


def has_offset(block: np.ndarray) -> bool:
    """Whether a channel of [C, N] has a constant or drifting offset.

    Mean and median must agree in sign and exceed the threshold: a decaying note has a mean, a pulse-shaped
    one a median, few sounds have both.
    """
    share = max(MIN_SHARE, SHARE_SECONDS * RATE / max(1, block.shape[1]))
    sounding = [channel[channel != 0] for channel in block]  # exact zeros are silence that was added later
    return any(_has_offset(channel, share) or _drifts(channel) for channel in sounding)


def _drifts(channel: np.ndarray) -> bool:
    if channel.size < 2 * RATE:
        return False
    threshold = DRIFT_BLOCK_SHARE * float(np.sqrt(np.mean(channel**2, dtype=np.float64)))
    seconds = (channel[at : at + RATE] for at in range(0, channel.size - RATE + 1, RATE))
    return any(
        abs(float(one.mean(dtype=np.float64))) > threshold and _has_offset(one, DRIFT_SHARE)
        for one in seconds
    )


def _has_offset(channel: np.ndarray, share: float) -> bool:
    if not channel.size:
        return False
    mean = float(channel.mean(dtype=np.float64))
    threshold = share * float(np.sqrt(max(0.0, float(np.mean(channel**2, dtype=np.float64)) - mean**2)))
    if abs(mean) <= threshold:  # the usual case; the median costs more
        return False
    median = float(np.median(channel))
    return abs(median) > threshold and median * mean > 0
