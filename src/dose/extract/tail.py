"""Clean tails: a struck drum only decays, so what rises again after its attack is another sound's trace.

Source blending and sampling leave traces of other hits, and tails that do not end. Two limits take both away
and leave a sound that decays as it is. Their constants were chosen on the realistic validation set
(docs/extract.md).
"""

import numpy as np

from dose.dsp.rms import HOP, levels
from dose.dsp.stft import istft, stft
from dose.extract.spectral_match import silence_before_attack, stft_gains
from dose.tokens import band_energies

RISE_DB = 1.5  # by which a band may rise again after its peak: beating partials do
FROM_DB = -30.0  # level, below the loudest, from which on the rate of decay is limited
RATE_SHARE = 0.75  # of the rate at which the sound fell to FROM_DB: bodies ring longer than attacks
TINY = 1e-12  # power: what counts as silence


def clean_tail(shot: np.ndarray) -> np.ndarray:
    """A one-shot [N] without what rises again in any band, and without a tail that does not end."""
    return shot if not shot.any() else _limit_rate(_limit_rises(shot))


def _limit_rises(shot: np.ndarray) -> np.ndarray:
    """Each band's energy never more than RISE_DB above its least value since its peak."""
    frames = -(-len(shot) // band_energies.HOP)
    power = band_energies.one_shot_band_energies(shot[None], frames)[0] + TINY  # [BANDS, T]
    peaks = power.argmax(axis=1)
    after = np.arange(frames) > peaks[:, None]
    least = np.minimum.accumulate(np.where(after, power, np.inf), axis=1)
    allowed = np.where(after, least * 10 ** (RISE_DB / 10), np.inf)
    gain = np.sqrt(np.minimum(1, allowed / power))
    spectrum = stft(shot)
    return silence_before_attack(istft(spectrum * stft_gains(gain, spectrum.shape[1]), len(shot)), shot)


def _limit_rate(shot: np.ndarray) -> np.ndarray:
    """From FROM_DB on the level falls at least RATE_SHARE as fast as it fell until then."""
    db = levels(shot)
    peak = int(db.argmax())
    below = np.flatnonzero(db[peak:] <= FROM_DB)
    if not len(below) or not below[0]:
        return shot
    start = peak + int(below[0])
    per_frame = FROM_DB / (start - peak) * RATE_SHARE
    frames = np.arange(len(db))
    excess = np.minimum(0, FROM_DB + per_frame * (frames - start) - db)
    # What was taken off once stays off: the sound that is let through decays, too.
    gain_db = np.minimum.accumulate(np.where(frames < start, 0, excess))
    gain = 10 ** (np.interp(np.arange(len(shot)), frames * HOP, gain_db) / 20)
    limited: np.ndarray = (shot * gain).astype(np.float32)
    return limited
