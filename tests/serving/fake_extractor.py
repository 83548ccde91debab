"""A stand-in for the extractor with its interface and stages, without models, for tests of the service."""

import dataclasses
import time

import numpy as np

from dose.drums import DRUMS
from dose.extract.result import Kit, OneShot
from dose.transcription.hits import Transcription
from serving.inference import DONE, SCAN

SETTINGS = {
    "state": "unused: DOSE_STATE is set",
    "upload_mb": 4,
    "upload_seconds": 20,
    "short": {"seconds": 5, "decoded_mb": 8},
    "song": {"seconds": 60, "decoded_mb": 32},
    "max_candidates": 8,
    "concurrency": 2,
    "queue": 4,
    "wait_seconds": 20,
    "songs_queue": 5,
    "song_timeout_s": 20,
    "song_attempts": 2,
    "keep_hours": 1,
    "rate_per_minute": 60_000,
    "burst": 10_000,
    "proxy_hops": 0,
    "batch_wait_ms": 5,
    "batch_size": 48,
    "reload_seconds": 0.05,
    "canary": {"share": 1.0, "shadow": 0.0, "requests": 0, "errors": 0.05, "confidence_fall": 0.3},
    "feedback": "none",
    "cors_origins": [],
}


@dataclasses.dataclass
class FakeBundle:
    version: str = "fake-1"


class FakeExtractor:
    """Every hit is a decaying sine; its pitch depends on drum, rank and seed.

    `transcription` is what it says of every song; `sounds` has other sounds, drum -> float32 [44100].
    """

    def __init__(
        self,
        seconds: float = 0.0,
        version: str = "fake-1",
        transcription: Transcription | None = None,
        sounds: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.seconds, self.bundle = seconds, FakeBundle(version)
        self.transcription, self.sounds = transcription, sounds or {}

    def sample(self, drum, prompts, sampling):
        raise AssertionError("the stand-in has no model")

    def extract_blocks(self, blocks, *, drums=DRUMS, candidates=1, seed=0, progress=None, name=""):
        audio = np.concatenate(list(blocks), axis=1)
        assert np.isfinite(audio).all()
        for step in range(10):
            time.sleep(self.seconds / 10)
            if progress:
                progress(step / 10, SCAN if step < 3 else drums[(step - 3) * len(drums) // 7])
        if progress:
            progress(1.0, DONE)
        hits = {
            drum: tuple(
                _hit(drum, 100 + 200 * i, rank, seed, self.sounds.get(drum)) for rank in range(candidates)
            )
            for i, drum in enumerate(drums)
        }
        return Kit(
            hits=hits,
            seconds=audio.shape[1] / 44100,
            version=self.bundle.version,
            data_id="fake",
            seed=seed,
            features=(0.5,) * 32,
            transcription=self.transcription,
        )


def _hit(drum: str, pitch: float, rank: int, seed: int, sound: np.ndarray | None) -> OneShot:
    t = np.arange(44100) / 44100
    sine = 0.5 * np.sin(2 * np.pi * (pitch + 10 * rank + seed % 7) * t) * np.exp(-8 * t)
    wave = sine if sound is None else sound
    return OneShot(
        drum=drum,
        audio=wave.astype(np.float32),
        raw=wave.astype(np.float32),
        pan=(1.0, 1.0),
        confidence=0.9 - 0.1 * rank,
        detected=True,
        time=0.25 * rank,
        seed=seed + rank,
        conditioning_fit=0.8,
        self_consistency=0.7,
    )
