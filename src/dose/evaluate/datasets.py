"""Test items on disk (a mix and its reference one-shots), and the outputs of a system for them.

A system's outputs lie as `<folder>/<index>/<drum>.wav` (or .flac, .ogg, .mp3, .aiff), the index written as
the data set's own folder names are (000000, 000001, ...) or without leading zeros. Any outputs in this layout
can be scored.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dose import audio
from dose.drums import DRUMS
from dose.errors import AudioError, MissingInputError
from dose.files import ArchiveMember
from dose.metrics.one_shots import prepare

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
# A one-shot is cut to 1 s; half a second more leaves room for the resampling filter's tail.
DECODED_SECONDS = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """One test mix. `shots` maps drums to reference files; empty where none exist (real recordings)."""

    index: int
    mix: Path | ArchiveMember
    shots: Mapping[str, Path | ArchiveMember]
    name: str = ""

    def read_mix(self) -> np.ndarray:
        """float32 [C, N] at 44.1 kHz."""
        return audio.read(self.mix, mono=False)

    def read_reference(self, drum: str) -> np.ndarray:
        """The reference one-shot, prepared for scoring: float32 [44100]."""
        return prepare(audio.read(self.shots[drum]), str(self.shots[drum]))


def rmod_items(root: Path | str, dataset: str, count: int) -> list[Item]:
    """The first `count` items of a written set in data/rmod: see `dose.rmod.dataset.DATASETS`."""
    from dose.rmod import items

    found = items(Path(root), dataset)[:count]
    if not found:
        raise MissingInputError(f"{root} holds no items of '{dataset}'; run `dvc repro rmod`.")
    return [Item(index=i.index, mix=i.mix_path, shots=dict(i.shots)) for i in found]


def output_path(folder: Path, index: int, drum: str) -> Path | None:
    """The file of a system's output for one item, or None where there is none."""
    for name in (f"{index:06d}", str(index)):
        for suffix in SUFFIXES:
            path = folder / name / f"{drum}{suffix}"
            if path.is_file():
                return path
    return None


def read_outputs(folder: Path, items: Sequence[Item], drum: str) -> list[np.ndarray | AudioError]:
    """For each item the prepared one-shot, or the reason why there is none to score."""
    return [_read_output(folder, item, drum) for item in items]


def _read_output(folder: Path, item: Item, drum: str) -> np.ndarray | AudioError:
    path = output_path(folder, item.index, drum)
    if path is None:
        return AudioError(f"{folder} has no {drum} for item {item.index}.")
    try:
        # audio.read resamples to 44.1 kHz.
        return prepare(audio.read(path, max_seconds=DECODED_SECONDS), str(path))
    except AudioError as e:
        return e


def check_outputs(folder: Path, items: Sequence[Item]) -> None:
    """Raises MissingInputError when `folder` holds no output at all for any of the items."""
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is not a folder of one-shots (<index>/<drum>.wav).")
    if not any(output_path(folder, item.index, drum) for item in items for drum in DRUMS):
        raise MissingInputError(
            f"{folder} holds no one-shot for any of the {len(items)} items; "
            f"expected files such as {folder}/{items[0].index:06d}/kick.wav."
        )
