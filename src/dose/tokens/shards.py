"""Token shards on disk, which training reads memory-mapped and never decodes.

A split is a folder: `shard-00000/NAME.npy` (uint16, or uint8 where that holds it, [n, K, T]) for each array
NAME, and `index.json` with the ids of codec and data and the SHA-256 of every file. Names of arrays:

"kick", "snare", "hihat"  codes of the one-shots
"mix"                     codes of the whole 4 s
"prompt_kick", ...        codes of the mix's segments at that drum's onsets
"band_energies_kick", ... the same segments as conditioning features (quantised band energies)
"spectrogram_kick", ...   quantised band energies of the one-shots

Beside the splits, `vectors.npy` (float16 [K, N, D]) holds the codec's codebook vectors.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dose import files
from dose.errors import IntegrityError, MissingInputError

INDEX = "index.json"
VECTORS = "vectors.npy"
PromptKind = Literal["mix", "hits", "band_energies"]  # see dose.tokens.prompt
OLD_PROMPT_KINDS = {"levels": "band_energies"}  # in params.yaml and checkpoints of the last release
PROMPTS = {
    "hits": "prompt",
    "band_energies": "band_energies",
}  # kind of prompt -> prefix of its arrays' names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """index.json of one split: its origin, its shards, and the hash of each file."""

    codec_id: str
    data_id: str
    prompt: dict[str, Any]  # PromptConfig's fields for the prompt_* arrays
    shards: tuple[dict[str, Any], ...]  # {"name", "count", "key", "sha256": {array: digest}}
    vectors: str | None = None  # SHA-256 of vectors.npy; None for a codec without codebook vectors

    @property
    def count(self) -> int:
        return sum(s["count"] for s in self.shards)


class Codes:
    """One array over all shards, [items, K, T]; `select` copies only the items it is asked for."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self.shards = list(shards)
        self.starts = np.cumsum([0, *(len(shard) for shard in self.shards)])  # of each shard, in items
        self.shape = (int(self.starts[-1]), *self.shards[0].shape[1:])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def select(self, indices: np.ndarray) -> np.ndarray:
        """Items `indices` [n] as int64 [n, K, T]."""
        out = np.empty((len(indices), *self.shape[1:]), np.int64)
        # Each shard is read once, for all items that lie in it.
        shard_of = np.searchsorted(self.starts, indices, side="right") - 1
        for shard in np.unique(shard_of):
            inside = shard_of == shard
            out[inside] = self.shards[shard][indices[inside] - self.starts[shard]]
        return out


def shard_name(number: int) -> str:
    return f"shard-{number:05d}"


def write_shard(folder: Path, number: int, arrays: Mapping[str, np.ndarray], key: str) -> dict[str, Any]:
    """Writes one shard, whole or not at all, and returns its entry for the index.

    `key` is the hash of what it was made from, by which a later run decides whether to reuse the shard.
    Raises ValueError for codes that do not fit 16 bits or arrays of unequal length.
    """
    counts = {len(a) for a in arrays.values()}
    if len(counts) != 1:
        raise ValueError(f"the arrays of a shard must be of one length, not {sorted(counts)}")
    for name, a in arrays.items():
        if a.size and not 0 <= int(a.min()) <= int(a.max()) < 1 << 16:
            raise ValueError(f"codes of {name} do not fit 16 bits")
    name = shard_name(number)
    # Written beside and renamed: an interrupted run leaves no partial shard.
    with files.atomic(folder / name) as beside:
        beside.mkdir()
        for array, values in arrays.items():
            # Band energies and small codebooks fit one byte, which halves what training reads.
            np.save(
                beside / f"{array}.npy", values.astype(np.uint8 if values.max(initial=0) < 256 else np.uint16)
            )
        entry = {
            "name": name,
            "count": counts.pop(),
            "key": key,
            "sha256": {array: files.sha256(beside / f"{array}.npy") for array in sorted(arrays)},
        }
        files.write_json(beside / "shard.json", entry)
    return entry


def finished_shard(folder: Path, number: int, key: str, count: int) -> dict[str, Any] | None:
    """The entry of a complete, unchanged shard that an earlier run made with the same key, else None."""
    path = folder / shard_name(number)
    if not (path / "shard.json").is_file():
        return None
    entry = files.read_json(path / "shard.json")
    if (entry["key"], entry["count"]) != (key, count):
        return None
    # Hashing costs far less than rendering and encoding again.
    intact = all(
        (path / f"{array}.npy").is_file() and files.sha256(path / f"{array}.npy") == digest
        for array, digest in entry["sha256"].items()
    )
    return entry if intact else None


def write_index(folder: Path, index: Index) -> None:
    files.write_json(folder / INDEX, dataclasses.asdict(index))


def read_index(folder: Path | str) -> Index:
    """The index of a split. Raises MissingInputError or IntegrityError naming the file."""
    path = Path(folder) / INDEX
    raw = files.read_json(path)
    fields = {f.name for f in dataclasses.fields(Index)}
    if not isinstance(raw, dict) or set(raw) != fields:
        raise IntegrityError(f"{path} does not have the keys {', '.join(sorted(fields))}; make it again.")
    return Index(**{**raw, "shards": tuple(raw["shards"])})


def write_vectors(root: Path, vectors: np.ndarray | None) -> str | None:
    """Stores codebook vectors [K, N, D] beside the splits, so that training does not need the codec.

    Returns the file's SHA-256 for the index; None, and no file, for a codec without vectors.
    """
    path = root / VECTORS
    if vectors is None:
        path.unlink(missing_ok=True)
        return None
    # float16: the vectors initialise embeddings, which training changes anyway.
    with files.atomic(path) as beside, open(beside, "wb") as f:
        np.save(f, vectors.astype(np.float16))
    return files.sha256(path)


class Tokens:
    """One split of tokens. Each array is checked against its hash when it is opened."""

    def __init__(self, root: Path | str, split: str) -> None:
        self.folder = Path(root) / split
        self.index = read_index(self.folder)

    def codes(self, name: str) -> Codes:
        """The array `name`, memory-mapped.

        Raises MissingInputError for an array that was not made, IntegrityError for a changed file.
        """
        arrays = []
        for shard in self.index.shards:
            path = self.folder / shard["name"] / f"{name}.npy"
            if name not in shard["sha256"]:
                raise MissingInputError(
                    f"{self.folder} holds no '{name}' tokens; add them in params.yaml: tokens."
                )
            _check(path, shard["sha256"][name])
            arrays.append(np.load(path, mmap_mode="r"))
        if not arrays:
            raise MissingInputError(f"{self.folder} holds no shards; run `dvc repro tokens`.")
        return Codes(arrays)

    def vectors(self) -> np.ndarray | None:
        """The codebook vectors, float32 [K, N, D], or None for a codec without any.

        Raises MissingInputError or IntegrityError for a file other than the one these tokens were made with.
        """
        if self.index.vectors is None:
            return None
        path = self.folder.parent / VECTORS
        _check(path, self.index.vectors)
        vectors: np.ndarray = np.load(path).astype(np.float32)
        return vectors


def _check(path: Path, digest: str) -> None:
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; run `dvc repro tokens`.")
    if files.sha256(path) != digest:
        raise IntegrityError(f"{path} was changed after it was made; run `dvc repro --force tokens`.")
