"""A stand-in for the extractor, with its interface and none of its sense, for tests of the service."""

import dataclasses
import time

import numpy as np

from dose.drums import DRUMS


@dataclasses.dataclass
class FakeHit:
    drum: str
    audio: np.ndarray
    confidence: float
    present: bool
    time: float
    seed: int


@dataclasses.dataclass
class FakeKit:
    hits: dict


@dataclasses.dataclass
class FakeBundle:
    version: str = "fake-1"
    drums: tuple = DRUMS


class FakeExtractor:
    """Every hit is a decaying sine whose pitch tells drum, rank and seed apart."""

    def __init__(self, seconds: float = 0.0, version: str = "fake-1") -> None:
        self.seconds, self.bundle = seconds, FakeBundle(version)

    def extract(self, audio, rate, *, drums=DRUMS, candidates=1, seed=0, progress=None):
        assert audio.ndim == 2
        assert np.isfinite(audio).all()
        for step in range(10):
            time.sleep(self.seconds / 10)
            if progress:
                progress(step / 10, "windows" if step < 3 else "generate")
        t = np.arange(44100) / 44100
        hits = {}
        for i, drum in enumerate(drums):
            hits[drum] = [
                FakeHit(
                    drum,
                    (
                        0.5 * np.sin(2 * np.pi * (100 + 200 * i + 10 * k + seed % 7) * t) * np.exp(-8 * t)
                    ).astype(np.float32),
                    0.9 - 0.1 * k,
                    True,
                    0.25 * k,
                    seed + k,
                )
                for k in range(candidates)
            ]
        return FakeKit(hits)
