"""A bank of made sounds, small enough to hold in memory, and the laptop's ranges."""

from pathlib import Path

import numpy as np
import pytest

from dose import config as params
from dose.drums import DRUMS, INSTRUMENTS, SPLITS
from dose.rmod import RmodConfig
from dose.sources.catalogue import Bank, Clip, quantise, sound_id

RANGES = Path(__file__).with_name("ranges.yaml")


def _sound(cls: str, j: int, rng: np.random.Generator) -> np.ndarray:
    n = 20000 if cls in DRUMS else int(44100 * (1.0, 2.5, 4.5, 9.0)[j])
    t = np.arange(n) / 44100
    if cls == "kick":
        return 0.9 * np.sin(2 * np.pi * (50 + 10 * j) * t) * np.exp(-8 * t)
    if cls in DRUMS:
        return rng.uniform(-0.9, 0.9, n) * np.exp(-(20 + 10 * j) * t)
    return 0.6 * np.sin(2 * np.pi * 110 * (j + 1) * t) * (1 + 0.4 * np.sin(2 * np.pi * 3 * t))


class MemoryBank(Bank):
    """Keeps its sounds when pickled: there are no files to read them from again."""

    def __getstate__(self):
        return self.__dict__


def memory_bank(classes=DRUMS + INSTRUMENTS) -> MemoryBank:
    rng = np.random.default_rng(0)
    clips, sounds = [], {}
    for split in SPLITS:
        for cls in classes:
            for j in range(4):
                samples = quantise(_sound(cls, j, rng) * (0.9 + 0.02 * SPLITS.index(split)))
                clip = sound_id(samples)
                sounds[clip] = samples
                clips.append(
                    Clip(
                        id=clip,
                        name=f"{cls} {j}",
                        cls=cls,
                        kind="oneshot" if cls in DRUMS else "loop",
                        variant="",
                        source="folder",
                        package="made",
                        version="1",
                        kit=f"kit {j}",
                        author="nobody",
                        licence=("CC0-1.0", "MIT")[j % 2],
                        attribution="",
                        group=f"{split} {j}",
                        split=split,
                        file="",
                        seconds=samples.size / 44100,
                        lead_in_ms=0.0,
                        peak_db=0.0,
                        cluster=clip,
                    )
                )
    bank = MemoryBank("made", clips)
    bank._sounds = sounds
    return bank


@pytest.fixture(scope="session")
def bank() -> MemoryBank:
    return memory_bank()


@pytest.fixture(scope="session")
def ranges() -> RmodConfig:
    return params.load("rmod", RmodConfig, RANGES)
