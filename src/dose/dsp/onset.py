"""The rise of magnitudes at an onset: spectral flux around one sample, and an envelope for alignment."""

import dataclasses

import numpy as np

from dose.dsp.mel import HOP

# Frames of 5.8 ms: the background is measured 35 to 6 ms before the onset, the hit up to 35 ms after it. One
# frame between them is left out, since its window (23 ms) already covers the attack. Chosen by hand.
BEFORE, GAP, AFTER = 6, 1, 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnsetLevels:
    """Magnitudes [bands] before an onset (mean over frames) and after it (maximum over frames)."""

    before: np.ndarray
    after: np.ndarray

    @property
    def flux(self) -> np.ndarray:
        """Half-wave rectified increase in power, [bands]."""
        flux: np.ndarray = np.maximum(self.after**2 - self.before**2, 0)
        return flux


def background(magnitudes: np.ndarray, frame: int) -> np.ndarray:
    """The frames [bands, <= BEFORE - GAP] of [bands, T] just before the onset in `frame`; never none."""
    return magnitudes[:, max(0, frame - BEFORE) : max(1, frame - GAP)]


def onset_levels(magnitudes: np.ndarray, sample: int) -> OnsetLevels:
    """Magnitudes [bands, T] of `dsp.mel` around the onset at `sample`."""
    frame = sample // HOP
    return OnsetLevels(
        before=background(magnitudes, frame).mean(axis=1),
        after=magnitudes[:, frame : frame + AFTER].max(axis=1, initial=0.0),
    )


def attack_envelope(audio: np.ndarray, step: int) -> np.ndarray:
    """Root energy of the differenced signal [N] in steps of `step` samples, [N // step].

    Differencing raises high frequencies, whose onsets are sharper in time than those of low ones.
    """
    steps = np.diff(audio, prepend=0)[: len(audio) // step * step].reshape(-1, step)
    envelope: np.ndarray = np.sqrt(np.square(steps).sum(axis=1))
    return envelope
