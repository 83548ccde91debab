"""Sound in and out: the only package that opens sound files.

Everywhere else audio is a float32 numpy array, [N] mono or [C, N], full scale 1.0, at 44.1 kHz unless a
function says otherwise.
"""

from dose.audio.processing import (
    RATE,
    Array,
    db,
    downmix,
    fade_out,
    fit_length,
    from_db,
    lead_in,
    normalise_peak,
    peak,
    resample,
)
from dose.audio.reading import MAX_CHANNELS, MAX_RATE, MIN_RATE, Info, probe, read, stream
from dose.audio.writing import Subtype, encoded, wav_bytes, write

__all__ = [
    "MAX_CHANNELS", "MAX_RATE", "MIN_RATE", "RATE", "Array", "Info", "Subtype", "db", "downmix", "encoded",
    "fade_out", "fit_length", "from_db", "lead_in", "normalise_peak", "peak", "probe", "read", "resample",
    "stream", "wav_bytes", "write",
]  # fmt: skip
