"""The mixing chain's effects as kernels over mono float32 sound [N], compiled once and cached on disk.

A library's clips are mono, and what makes a track stereo (pan, reverb) comes last. A recursive filter waits
for its own last sample, so eight tracks, or the reverb's eight comb filters, are computed side by side in
SIMD lanes. No fast-math: sums keep their order, so the same input gives the same bytes in every process.

docs/rmod.md names what each effect is compared with, and the tolerance.
"""

from dose.rmod.effects.dynamics import compress, limiter_gain
from dose.rmod.effects.eq import (
    apply_eq,
    biquads,
    first_order,
    high_pass,
    high_shelf,
    low_pass,
    low_shelf,
    peak_filter,
)
from dose.rmod.effects.levels import RMS_FLOOR, mix_in, peak, rms
from dose.rmod.effects.sends import delay, reverb
from dose.rmod.effects.simd import LANES

__all__ = [
    "LANES",
    "RMS_FLOOR",
    "apply_eq",
    "biquads",
    "compress",
    "delay",
    "first_order",
    "high_pass",
    "high_shelf",
    "limiter_gain",
    "low_pass",
    "low_shelf",
    "mix_in",
    "peak",
    "peak_filter",
    "reverb",
    "rms",
]
