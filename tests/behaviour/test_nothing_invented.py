"""Nothing invented: what has no drums gives none, and a drum alone is named as what it is.

The faults that issue 19 lists, one by one, with the shipped network and calibration. Whole sets are scored by
`dose evaluate --transcription` (docs/transcription.md).
"""

import numpy as np
import pytest

from dose.audio import RATE
from dose.bundle import SHIPPED
from dose.drums import DRUMS
from dose.extract import Extractor
from dose.extract.candidates import SearchConfig
from dose.sources.shipped import source_items


@pytest.fixture(scope="module")
def extractor():
    return Extractor.load(SHIPPED)


def detected(extractor: Extractor, mix: np.ndarray) -> set[str]:
    """The drums that an extraction of mono `mix` reports; nothing is generated."""
    features = extractor.segment_features(mix[None].astype(np.float32), DRUMS)
    return {
        drum
        for drum, row in features.items()
        if extractor.calibration[drum].detected(row[None])[0] >= SearchConfig().detection_threshold
    }


def shots(drum: str, split: str = "test") -> list[np.ndarray]:
    """Real one-shots of a drum that training has not seen, float [N], in the package's order."""
    return [item.load() for item in source_items() if (item.cls, item.split) == (drum, split)]


def played(shot: np.ndarray, times: list[float], seconds: float = 5.0) -> np.ndarray:
    out = np.zeros(int(seconds * RATE))
    for time in times:
        at = int(time * RATE)
        piece = shot[: len(out) - at]
        out[at : at + len(piece)] += 0.5 * piece
    return out
