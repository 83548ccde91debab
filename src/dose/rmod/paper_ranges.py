"""The ranges of the paper's mixing chain, which define RMOD: the authors' values.

They are defaults of the optional keys `tracks`, `reverb`, `delay` and `master` of params.yaml: rmod, where
any of them can be replaced.
"""

from dose.rmod.ranges import (
    CompressorRange,
    DelayRange,
    FilterRange,
    LimiterRange,
    ReverbRange,
    SendFilterRange,
    TrackRange,
)

# Weights of two layered samples of a class: one of these pairs.
LAYER_WEIGHTS = ((0.8, 0.2), (0.7, 0.3), (0.6, 0.4))
# MIDI velocity of a hit: normal, rounded.
VELOCITY_MEAN, VELOCITY_SD = 100.0, 3.0

_CENTRE = (0.46, 0.56)  # pan of all tracks but the hi-hat; 0 left, 1 right
_LIMITER = LimiterRange(threshold_db=(-1.0, 0.0), release_ms=(2.0, 1000.0))
# Low shelf of every track but kick and bass.
_CUT = FilterRange(
    gain_db=(-3.0, 0.0), hz=(50.0, 100.0), q=(0.707, 0.707)
)  # low shelf of what is no bass drum or bass
_COMPRESSOR = CompressorRange(
    threshold_db=(-40.0, 0.0), attack_ms=(1.0, 100.0), release_ms=(10.0, 500.0), ratio=(2.0, 10.0)
)
_Q = (1.5, 10.0)


def _peak(gain_db: tuple[float, float], hz: tuple[float, float]) -> FilterRange:
    return FilterRange(gain_db=gain_db, hz=hz, q=_Q)


_LOW = TrackRange(  # kick and bass
    gain_db=(-21.0, -14.0),
    shelf=FilterRange(gain_db=(-0.5, 0.5), hz=(20.0, 30.0), q=(0.707, 0.707)),
    peaks=(
        _peak((-2.0, 2.0), (50.0, 100.0)),
        _peak((-2.0, 2.0), (100.0, 200.0)),
        _peak((-2.0, 2.0), (300.0, 500.0)),
    ),
    compressor=_COMPRESSOR,
    pan=_CENTRE,
    limiter=_LIMITER,
    reverb=0.0,
    delay=0.0,
)
_MIDDLE = TrackRange(  # piano, guitar and vocal
    gain_db=(-21.0, -14.0),
    shelf=_CUT,
    peaks=(
        _peak((-2.0, 2.0), (50.0, 100.0)),
        _peak((-1.0, 2.0), (100.0, 200.0)),
        _peak((0.0, 2.0), (300.0, 500.0)),
    ),
    compressor=_COMPRESSOR,
    pan=_CENTRE,
    limiter=_LIMITER,
    reverb=0.5,
    delay=0.5,
)
TRACKS = {
    "kick": _LOW,
    "snare": TrackRange(
        gain_db=(-17.0, -7.0),
        shelf=_CUT,
        peaks=(),
        compressor=CompressorRange(
            threshold_db=(-40.0, 0.0), attack_ms=(20.0, 100.0), release_ms=(50.0, 500.0), ratio=(3.0, 5.0)
        ),
        pan=_CENTRE,
        limiter=_LIMITER,
        reverb=0.5,
        delay=0.5,
    ),
    "hihat": TrackRange(
        gain_db=(-17.5, -14.5),
        shelf=_CUT,
        peaks=(),
        compressor=CompressorRange(
            threshold_db=(-50.0, 0.0), attack_ms=(1.0, 100.0), release_ms=(50.0, 500.0), ratio=(2.0, 5.0)
        ),
        pan=(0.2, 0.8),
        limiter=_LIMITER,
        reverb=0.5,
        delay=0.5,
    ),
    "bass": _LOW,
    "piano": _MIDDLE,
    "guitar": _MIDDLE,
    "vocal": _MIDDLE,
}

# The filters in front of reverb and delay.
_SEND_FILTER = SendFilterRange(highpass_hz=(1500.0, 2500.0), lowpass=0.01, lowpass_hz=(100.0, 300.0))
REVERB = ReverbRange(
    room=(0.0, 1.0), damping=(0.0, 1.0), width=(0.0, 1.0), level_db=(-6.0, -3.0), filter=_SEND_FILTER
)
DELAY = DelayRange(seconds=(0.0, 1.0), feedback=(0.0, 0.005), level_db=(-10.0, -7.0), filter=_SEND_FILTER)

MASTER_PEAKS = (
    FilterRange(gain_db=(-1.0, 1.0), hz=(20.0, 200.0), q=(0.75, 3.0)),
    FilterRange(gain_db=(-1.0, 1.0), hz=(200.0, 3000.0), q=(0.75, 3.0)),
    FilterRange(gain_db=(-1.0, 1.0), hz=(3000.0, 20000.0), q=(0.75, 3.0)),
)
MASTER_GAIN_DB = (5.0, 25.0)
MASTER_LIMITER = _LIMITER
