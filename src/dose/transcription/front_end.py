"""What the network reads: log band energies, 100 frames per second.

The long window tells kicks from bass notes (10.8 Hz apart), the short one places attacks; a frame every 10 ms
is enough, since a peak between frames is interpolated.
"""

import numpy as np
from torch import Tensor

from dose.dsp.bands import RATE, BandFrontEnd, Resolution

HOP = 441  # samples: 10 ms
FRAME_RATE = RATE / HOP  # frames per second
# 24 bands from 28 to 300 Hz and 48 from 300 to 17,500 Hz, evenly on a logarithmic scale: 7 and 8 per octave.
LOW_EDGES = tuple(float(round(hz, 2)) for hz in np.geomspace(28, 300, 25))
HIGH_EDGES = tuple(float(round(hz, 1)) for hz in np.geomspace(300, 17500, 49))
FRONT_END = BandFrontEnd(
    resolutions=(Resolution(size=4096, edges=LOW_EDGES), Resolution(size=1024, edges=HIGH_EDGES)),
    hop=HOP,
    centre="hop_start",
    normalise=True,
)
BANDS = FRONT_END.bands
RANGE = 7.0  # decades (70 dB) below the loudest band and frame: what lies under it is floor


def log_band_energies(audio: Tensor) -> Tensor:
    """Mono audio [B, N] at 44.1 kHz to log10 band energies [B, BANDS, N // HOP + 1], about -1.75 .. 1.75.

    Energies are relative to the loudest band and frame of each row, so that the mix's level does not matter.
    """
    power = FRONT_END.power(audio)
    loudest = power.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    return ((power / loudest + 10**-RANGE).log10() + RANGE / 2) / 2
