"""Which hits of a mix are audible: others should neither be asked of a network nor denied to it."""

import numpy as np

from dose.audio import RATE

WINDOW = 2048  # samples (46 ms) from the hit on
EDGES_HZ = np.geomspace(40, 17000, 25)  # bands: three per octave
# A hit is audible where, in some band, it has this much of the power of everything else. A default: masking
# thresholds of noise by noise lie around -5 dB in a band, and an attack stands out more.
AUDIBLE_DB = -6.0
FLOOR_DB = -65.0  # of the mix's loudest band: weaker than that is silence


def audible_hits(
    tracks: dict[str, np.ndarray], mix: np.ndarray, hits: dict[str, list[float]]
) -> dict[str, tuple[bool, ...]]:
    """Of each hit (seconds) of each track, whether it is audible in the mix [N] that contains the tracks."""
    starts = {t: [int(s * RATE) for s in seconds] for t, seconds in hits.items()}
    whole = {t: _powers(mix, s) for t, s in starts.items()}
    loudest = max((float(p.max(initial=0.0)) for p in whole.values()), default=0.0)
    audible = {}
    for track, at in starts.items():
        own = _powers(tracks[track], at)
        rest = _powers(mix - tracks[track], at) + loudest * 10 ** (FLOOR_DB / 10) + 1e-20
        above = (own / rest).max(axis=1, initial=0.0) > 10 ** (AUDIBLE_DB / 10)  # [hits]
        audible[track] = tuple(map(bool, above))
    return audible


def _powers(sound: np.ndarray, starts: list[int]) -> np.ndarray:
    """Band powers of a decaying window from each start on, [hits, bands]."""
    if not starts:
        return np.zeros((0, len(EDGES_HZ) - 1))
    padded = np.pad(sound, (0, WINDOW))
    # The second half of a Hann window: the attack counts most.
    window = np.hanning(2 * WINDOW)[WINDOW:].astype(np.float32)
    pieces = np.stack([padded[s : s + WINDOW] for s in starts]) * window
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    bins = np.searchsorted(np.fft.rfftfreq(WINDOW, 1 / RATE), EDGES_HZ)
    out: np.ndarray = np.add.reduceat(power, bins[:-1], axis=1)
    return out
