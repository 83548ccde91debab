"""What a clip is, and the bank of them that every later stage reads.

data/sources holds `catalogue.parquet` (one row per clip, in a stable order), `clips/<id>.flac` (mono,
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
from dose.drums import DRUMS, INSTRUMENTS, SPLITS
from dose.errors import IntegrityError, MissingInputError

CLASSES = DRUMS + INSTRUMENTS
CATALOGUE = "catalogue.parquet"
CLIPS = "clips"
CACHE_MB = 400.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """One cleaned sound and everything that is known of where it came from."""

    id: str  # first 16 hex digits of the SHA-256 of its 16-bit samples
    name: str
    cls: str  # one of CLASSES
    kind: str  # "oneshot" or "loop"
    variant: str  # "closed", "open" and the like; "" where nothing is known
    source: str  # "bundled", "procedural", "debian", "soundfont", "voice" or "folder"
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
    return "oneshot" if cls in DRUMS else "loop"


def quantise(sound: np.ndarray) -> np.ndarray:
    """Float [N] in -1..1 to the int16 [N] that is stored."""
    return np.clip(np.rint(np.asarray(sound, np.float64) * 32768), -32768, 32767).astype(np.int16)


def sound_id(samples: np.ndarray) -> str:
    """The identity of int16 samples [N]: equal sound, equal id, whatever file it came in."""
    return hashlib.sha256(np.ascontiguousarray(samples, "<i2").tobytes()).hexdigest()[:16]


def write_catalogue(clips: Iterable[Clip], path: Path) -> None:
    """One parquet row per clip, in the order given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [dataclasses.asdict(c) for c in clips]
    columns = {f.name: [r[f.name] for r in rows] for f in dataclasses.fields(Clip)}
    pq.write_table(pa.table(columns), path)


def read_catalogue(path: Path) -> tuple[Clip, ...]:
    """Raises MissingInputError when absent and IntegrityError when it is not a catalogue of this version."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MissingInputError(f"{path} is missing; run `dvc repro sources` to make it.")
    try:
        with pq.ParquetFile(path) as file:  # read_table would import pandas, half a second for every worker
            rows = file.read().to_pylist()
        return tuple(Clip(**row) for row in rows)
    except (TypeError, pa.ArrowException) as e:
        raise IntegrityError(f"{path} is not a catalogue of this version; run `dvc repro sources`.") from e


class SampleLibrary:
    """The clips of data/sources, opened. Cheap to pickle: sounds are read again where they are needed.

    Sounds are kept in memory as 16 bit once read (half of what float32 takes), the latest used up to
    `cache_mb`; a full-width bank would not fit beside the rest of a worker.
    """

    def __init__(self, root: Path | str, clips: Iterable[Clip], cache_mb: float = CACHE_MB):
        self.root = Path(root)
        self.clips = tuple(clips)
        self._by_id = {c.id: c for c in self.clips}
        self._select: dict[tuple[str, str], tuple[Clip, ...]] = {}
        for clip in self.clips:
            key = (clip.cls, clip.split)
            self._select[key] = (*self._select.get(key, ()), clip)
        self._sounds: OrderedDict[str, np.ndarray] = OrderedDict()
        self._room = cache_mb * 1e6  # bytes that are free
        self._cache_mb = cache_mb
        self._id: str | None = None

    @classmethod
    def load(cls, root: Path | str, *, check: bool = True, cache_mb: float = CACHE_MB) -> "SampleLibrary":
        """Opens data/sources. With `check`, every file is held against the manifest first.

        Raises MissingInputError when the stage has not run, IntegrityError when a file was changed.
        """
        root = Path(root)
        clips = read_catalogue(root / CATALOGUE)
        if check:
            files.check_manifest(root)
        return cls(root, clips, cache_mb)

    @property
    def id(self) -> str:
        """16 hex digits that depend on every clip's sound and record."""
        if self._id is None:
            self._id = files.hash_json([dataclasses.asdict(c) for c in self.clips])
        return self._id

    def select(self, cls: str, split: str) -> tuple[Clip, ...]:
        """All clips of a class in a split, in catalogue order; empty if there are none."""
        if cls not in CLASSES or split not in SPLITS:
            raise ValueError(f"no class {cls!r} in a split {split!r}; see CLASSES and SPLITS")
        return self._select.get((cls, split), ())

    def clip(self, clip_id: str) -> Clip:
        """Raises MissingInputError when the bank has no such clip."""
        try:
            return self._by_id[clip_id]
        except KeyError:
            raise MissingInputError(
                f"The bank {self.root} has no clip {clip_id}; the recipe was drawn from other sources: "
                "run `dvc repro`."
            ) from None

    def audio(self, clip_id: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples start..stop of a clip, float32 [N], mono, 44.1 kHz; a fresh array each time."""
        sound = self._sounds.get(clip_id)
        if sound is None:
            sound = self._read(self.clip(clip_id))
            self._keep(clip_id, sound)
        else:
            self._sounds.move_to_end(clip_id)
        return sound[start:stop] * np.float32(1 / 32768)

    def _read(self, clip: Clip) -> np.ndarray:
        path = self.root / clip.file
        if not path.is_file():
            raise MissingInputError(f"{path} has gone; run `dvc repro sources` to make it again.")
        sound = quantise(audio.read(path))
        if sound_id(sound) != clip.id:
            raise IntegrityError(f"{path} was changed after it was made; run `dvc repro sources`.")
        return sound

    def _keep(self, clip_id: str, sound: np.ndarray) -> None:
        self._sounds[clip_id] = sound
        self._room -= sound.nbytes
        while self._room < 0:
            _, oldest = self._sounds.popitem(last=False)
            self._room += oldest.nbytes

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sounds": OrderedDict(), "_room": self._cache_mb * 1e6}
