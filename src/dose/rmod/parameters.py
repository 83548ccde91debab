"""The random numbers of one track by parameter name, and their mapping to ranges."""

import numpy as np

from dose.rmod.ranges import Range
from dose.rmod.rng import NAMED

# A parameter's column among the random numbers of its track. Append only: moving one changes every mix.
# fmt: off
PARAMETERS = (
    "layered", "weights", "clip0", "clip1", "semitones0", "semitones1", "augmented", "decay", "tilt_db",
    "tilt_hz", "hits", "absent", "piece", "halved", "half", "transpose", "inverted", "gain", "shelf_db",
    "shelf_hz", "shelf_q", "peak0_db", "peak0_hz", "peak0_q", "peak1_db", "peak1_hz", "peak1_q", "peak2_db",
    "peak2_hz", "peak2_q", "threshold", "attack", "release", "ratio", "pan", "law", "limit",
    "limit_release", "reverb", "room", "damping", "width", "reverb_level", "reverb_highpass",
    "reverb_lowpassed", "reverb_lowpass", "delay", "seconds", "feedback", "delay_level", "delay_highpass",
    "delay_lowpassed", "delay_lowpass",
)
# fmt: on
COLUMNS = {name: i for i, name in enumerate(PARAMETERS)}
# The columns after NAMED belong to the hits.
assert len(PARAMETERS) <= NAMED


class TrackUniforms:
    """Uniform random numbers in [0, 1) of one track, for a block of B items."""

    def __init__(self, u: np.ndarray):
        self.u = u  # [B, WIDTH]

    def __getitem__(self, name: str) -> np.ndarray:
        """[B]"""
        column: np.ndarray = self.u[:, COLUMNS[name]]
        return column

    def real(self, name: str, span: Range) -> np.ndarray:
        """float32 [B], uniform on the range."""
        value: np.ndarray = (span[0] + (span[1] - span[0]) * self[name]).astype(np.float32)
        return value

    def whole(self, name: str, span: tuple[int, int]) -> np.ndarray:
        """int32 [B], uniform on the whole numbers of the range, both ends included."""
        value: np.ndarray = span[0] + np.floor(self[name] * (span[1] - span[0] + 1)).astype(np.int32)
        return value

    def below(self, name: str, count: int | np.ndarray) -> np.ndarray:
        """int32 [B], uniform on 0 .. count - 1."""
        index: np.ndarray = np.floor(self[name] * count).astype(np.int32)
        return index

    def happens(self, name: str, probability: float) -> np.ndarray:
        """bool [B], true with the probability."""
        event: np.ndarray = self[name] < probability
        return event
