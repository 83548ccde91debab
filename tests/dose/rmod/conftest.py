"""A sample library of synthetic sounds and the laptop's ranges."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dose import audio
from dose import config as params
from dose.drums import DRUMS, INSTRUMENTS, SPLITS
from dose.rmod import RmodConfig
from dose.sources.library import Clip, SampleLibrary, quantise, sound_id

LOOP_SECONDS = (1.0, 2.5, 4.5, 9.0)  # shorter than a half, than a piece, than two, and more


def _sound(cls: str, j: int, rng: np.random.Generator) -> np.ndarray:
    n = 20000 if cls in DRUMS else int(44100 * LOOP_SECONDS[j])
    t = np.arange(n) / 44100
    if cls == "kick":
        return 0.9 * np.sin(2 * np.pi * (50 + 10 * j) * t) * np.exp(-8 * t)
    if cls in DRUMS:
        return rng.uniform(-0.9, 0.9, n) * np.exp(-(20 + 10 * j) * t)
    return 0.6 * np.sin(2 * np.pi * 110 * (j + 1) * t) * (1 + 0.4 * np.sin(2 * np.pi * 3 * t))


def _write_library(root: Path, classes: Iterable[str], each: int, variants: Sequence[str]) -> SampleLibrary:
    rng = np.random.default_rng(0)
    clips = []
    for split in SPLITS:
        for cls in classes:
            for j in range(each):
                samples = quantise(_sound(cls, j, rng) * (0.9 + 0.02 * SPLITS.index(split)))
                clip = sound_id(samples)
                audio.write(root / "clips" / f"{clip}.flac", samples)
                clips.append(
                    Clip(
                        id=clip,
                        name=f"{cls} {j}",
                        cls=cls,
                        kind="oneshot" if cls in DRUMS else "loop",
                        variant=variants[j % len(variants)] if cls == "hihat" else "",
                        source="folder",
                        package="made",
                        version="1",
                        kit=f"kit {j}",
                        author="nobody",
                        licence="MIT" if j == 1 else "CC0-1.0",
                        attribution="",
                        group=f"{split} {j}",
                        split=split,
                        file=f"clips/{clip}.flac",
                        seconds=samples.size / 44100,
                        lead_in_ms=0.0,
                        peak_db=0.0,
                        cluster=clip,
                    )
                )
    return SampleLibrary(root, clips)


@pytest.fixture(scope="session")
def make_library(tmp_path_factory) -> Callable[..., SampleLibrary]:
    def make(
        classes: Iterable[str] = DRUMS + INSTRUMENTS, each: int = 4, variants: Sequence[str] = ("",)
    ) -> SampleLibrary:
        return _write_library(tmp_path_factory.mktemp("library"), classes, each, variants)

    return make


@pytest.fixture(scope="session")
def library(make_library) -> SampleLibrary:
    return make_library()


@pytest.fixture(scope="session")
def library_with_hats(make_library) -> SampleLibrary:
    """Its hi-hats are closed and open ones, as realistic mixes need them."""
    return make_library(variants=("closed", "open"))


@pytest.fixture(scope="session")
def ranges_path() -> Path:
    return Path(__file__).with_name("ranges.yaml")


@pytest.fixture(scope="session")
def ranges(ranges_path) -> RmodConfig:
    return params.load("rmod", RmodConfig, ranges_path)
