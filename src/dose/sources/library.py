"""The sample library: the clips that every later stage reads, and their index.

data/sources holds the library index (one parquet row per clip, in a stable order), `clips/<id>.flac` (mono,
44.1 kHz, 16 bit), `rejects.csv` and `manifest.json`.
"""

import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dose import audio, files
from dose.drums import DRUMS, INSTRUMENTS, OTHER_DRUMS, SPLITS
from dose.errors import IntegrityError, MissingInputError

REQUIRED = DRUMS + INSTRUMENTS  # classes that every split needs, for RMOD
CLASSES = REQUIRED + OTHER_DRUMS
LIBRARY_INDEX = "catalogue.parquet"  # old name of the index, kept in the stored format
CLIPS = "clips"
CACHE_MB = 400.0  # of decoded clips per process: a default, without a study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One cleaned sound, with its origin, licence and split."""

    id: str  # first 16 hex digits of the SHA-256 of its 16-bit samples
    name: str
    cls: str  # one of CLASSES
    kind: str  # "oneshot" or "loop"
    variant: str  # "closed", "open" and the like; "" where unknown
    source: str  # "bundled", "procedural", "debian", "repository", "soundfont", "voice" or "folder"
    package: str
    version: str
    kit: str
    author: str
    licence: str
    attribution: str  # the line to print where the licence asks for one
    group: str  # clips of one group share a split
    split: str  # one of SPLITS
    file: str  # relative to data/sources
    seconds: float
    lead_in_ms: float  # silence cut from the front
    peak_db: float  # before normalising, dBFS
    cluster: str  # id of the first clip among its near-duplicates


def kind_of(cls: str) -> str:
    """Drums are one-shots, instruments are loops."""
    return "loop" if cls in INSTRUMENTS else "oneshot"


def quantise(sound: np.ndarray) -> np.ndarray:
    """Float [N] in -1..1 to the int16 [N] that is stored."""
    return np.clip(np.rint(np.asarray(sound, np.float64) * 32768), -32768, 32767).astype(np.int16)


def sound_id(samples: np.ndarray) -> str:
    """The identity of int16 samples [N]: equal samples have equal ids, whatever file they came in."""
    return hashlib.sha256(np.ascontiguousarray(samples, "<i2").tobytes()).hexdigest()[:16]


def write_library_index(clips: Iterable[Clip], path: Path) -> None:
    """One parquet row per clip, in the order given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Columns in the order of Clip's fields.
    rows = [dataclasses.asdict(c) for c in clips]
    columns = {f.name: [r[f.name] for r in rows] for f in dataclasses.fields(Clip)}
    pq.write_table(pa.table(columns), path)


def read_library_index(path: Path) -> tuple[Clip, ...]:
    """Raises MissingInputError when absent and IntegrityError when it is not an index of this version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MissingInputError(f"{path} is missing; run `dvc repro sources` to make it.")
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pandas: 0.5 s per worker
            rows = file.read().to_pylist()
        return tuple(Clip(**row) for row in rows)
    except (TypeError, pa.ArrowException) as e:
        raise IntegrityError(
            f"{path} is not a library index of this version; run `dvc repro sources`."
        ) from e


class SampleLibrary:
    """The clips of data/sources, opened. Cheap to pickle: decoded sounds stay behind.

    Decoded sounds are cached as int16 (half the size of float32), least recently used first out, up to
    `cache_mb`: the library at the paper's scale does not fit into a worker's memory.
    """

    def __init__(self, root: Path | str, clips: Iterable[Clip], cache_mb: float = CACHE_MB):
        self.root = Path(root)
        self.clips = tuple(clips)
        self._by_id = {c.id: c for c in self.clips}
        # Clips by class and split, in the order of the index, which draws depend on.
        self._select: dict[tuple[str, str], tuple[Clip, ...]] = {}
        for clip in self.clips:
            key = (clip.cls, clip.split)
            self._select[key] = (*self._select.get(key, ()), clip)
        self._sounds: OrderedDict[str, np.ndarray] = OrderedDict()
        self._free = cache_mb * 1e6  # bytes left of the cache
        self._cache_mb = cache_mb
        self._id: str | None = None

    @classmethod
    def load(cls, root: Path | str, *, check: bool = True, cache_mb: float = CACHE_MB) -> "SampleLibrary":
        """Opens data/sources. With `check`, every file is compared with the manifest first.

        Raises MissingInputError when the stage has not run, IntegrityError when a file was changed.
        """
        root = Path(root)
        clips = read_library_index(root / LIBRARY_INDEX)
        if check:
            files.check_manifest(root)
        return cls(root, clips, cache_mb)

    @property
    def id(self) -> str:
        """16 hex digits that depend on every field of every clip, so on every sound."""
        if self._id is None:
            self._id = files.hash_json([dataclasses.asdict(c) for c in self.clips])
        return self._id

    def select(self, cls: str, split: str) -> tuple[Clip, ...]:
        """All clips of a class in a split, in the order of the index; empty if there are none."""
        if cls not in CLASSES or split not in SPLITS:
            raise ValueError(f"no class {cls!r} in a split {split!r}; see CLASSES and SPLITS")
        return self._select.get((cls, split), ())

    def clip(self, clip_id: str) -> Clip:
        """Raises MissingInputError when the library has no such clip."""
        try:
            return self._by_id[clip_id]
        except KeyError:
            raise MissingInputError(
                f"The sample library {self.root} has no clip {clip_id}; the mix was specified from other "
                "sources: run `dvc repro`."
            ) from None

    def audio(self, clip_id: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples start..stop of a clip, float32 [N], mono, 44.1 kHz; a fresh array each time."""
        sound = self._sounds.get(clip_id)
        if sound is None:
            sound = self._read(self.clip(clip_id))
            self._cache(clip_id, sound)
        else:
            self._sounds.move_to_end(clip_id)
        return sound[start:stop] * np.float32(1 / 32768)

    def _read(self, clip: Clip) -> np.ndarray:
        path = self.root / clip.file
        if not path.is_file():
            raise MissingInputError(f"{path} has gone; run `dvc repro sources` to make it again.")
        # The id is a hash of the samples, so every first read checks the file.
        sound = quantise(audio.read(path))
        if sound_id(sound) != clip.id:
            raise IntegrityError(f"{path} was changed after it was made; run `dvc repro sources`.")
        return sound

    def _cache(self, clip_id: str, sound: np.ndarray) -> None:
        self._sounds[clip_id] = sound
        self._free -= sound.nbytes
        while self._free < 0:
            _, oldest = self._sounds.popitem(last=False)
            self._free += oldest.nbytes

    def __getstate__(self) -> dict[str, Any]:
        # The cache is not pickled; its whole size is free again in the other process.
        return {**self.__dict__, "_sounds": OrderedDict(), "_free": self._cache_mb * 1e6}
