"""A small sample library of synthetic drums and loops, for tests that need sounds of every class."""

from pathlib import Path

import numpy as np
from drum_sounds import shot

from dose import audio, files
from dose.drums import DRUMS, INSTRUMENTS, OTHER_DRUMS, SPLITS
from dose.sources.library import (
    CLIPS,
    LIBRARY_INDEX,
    Clip,
    SampleLibrary,
    kind_of,
    quantise,
    sound_id,
    write_library_index,
)

VARIANTS = {"hihat": ("closed", "open")}


def make(root: Path, each: int = 2, splits: tuple[str, ...] = SPLITS, checked: bool = False) -> SampleLibrary:
    """`each` clips per class and split; with `checked` also the manifest that `SampleLibrary.load` reads."""
    clips = []
    for s, split in enumerate(splits):
        for cls in DRUMS + OTHER_DRUMS + INSTRUMENTS:
            for number in range(each):
                samples = quantise(_sound(cls, 10 * s + number))
                name = sound_id(samples)
                path = root / CLIPS / f"{name}.flac"
                audio.write(path, samples)
                variants = VARIANTS.get(cls, ("",))
                clips.append(
                    Clip(
                        id=name, name=f"{cls} {number}", cls=cls, kind=kind_of(cls),
                        variant=variants[number % len(variants)], source="folder", package="made",
                        version="1", kit=f"kit {number}", author="nobody", licence="CC0-1.0", attribution="",
                        group=f"{split} {cls} {number}", split=split, file=f"{CLIPS}/{path.name}",
                        seconds=len(samples) / audio.RATE, lead_in_ms=0.0, peak_db=0.0, cluster=name,
                    )
                )  # fmt: skip
    if checked:
        write_library_index(clips, root / LIBRARY_INDEX)
        files.write_manifest(root)
    return SampleLibrary(root, clips)


def _sound(cls: str, seed: int) -> np.ndarray:
    """Drums as `drum_sounds` has them, the others as snares and hats of other seeds; loops are tones."""
    if cls in DRUMS:
        return 0.9 * shot(cls, seed)
    if cls in OTHER_DRUMS:
        return 0.9 * shot("hihat" if cls == "cymbal" else "snare", 100 * (1 + OTHER_DRUMS.index(cls)) + seed)
    t = np.arange(3 * audio.RATE) / audio.RATE
    hz = 80 * 2 ** INSTRUMENTS.index(cls) * (1 + seed / 7)
    return 0.6 * np.sin(2 * np.pi * hz * t) * (1 + 0.4 * np.sin(2 * np.pi * 3 * t))
