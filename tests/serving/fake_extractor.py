"""A stand-in for the extractor, with its interface and none of its sense, for tests of the service."""

import dataclasses
import time

import numpy as np

from dose.drums import DRUMS
from dose.extract.kit import Hit, Kit


@dataclasses.dataclass
class FakeBundle:
    version: str = "fake-1"


class FakeExtractor:
    """Every hit is a decaying sine whose pitch tells drum, rank and seed apart."""

    def __init__(self, seconds: float = 0.0, version: str = "fake-1") -> None:
        self.seconds, self.bundle = seconds, FakeBundle(version)

    def sample(self, drum, prompts, rules):
        raise AssertionError("the stand-in has no model")

    def extract(self, audio, rate, *, drums=DRUMS, candidates=1, seed=0, progress=None, name=""):
        assert audio.ndim == 2
        assert np.isfinite(audio).all()
        for step in range(10):
            time.sleep(self.seconds / 10)
            if progress:
                progress(step / 10, "windows" if step < 3 else "generate")
        hits = {
            drum: tuple(_hit(drum, 100 + 200 * i, rank, seed) for rank in range(candidates))
            for i, drum in enumerate(drums)
        }
        return Kit(
            hits=hits,
            seconds=audio.shape[1] / rate,
            version=self.bundle.version,
            data_id="fake",
            seed=seed,
        )


def _hit(drum: str, pitch: float, rank: int, seed: int) -> Hit:
    t = np.arange(44100) / 44100
    wave = 0.5 * np.sin(2 * np.pi * (pitch + 10 * rank + seed % 7) * t) * np.exp(-8 * t)
    return Hit(
        drum=drum,
        audio=wave.astype(np.float32),
        raw=wave.astype(np.float32),
        pan=(1.0, 1.0),
        confidence=0.9 - 0.1 * rank,
        present=True,
        time=0.25 * rank,
        seed=seed + rank,
        match=0.8,
        agreement=0.7,
    )
