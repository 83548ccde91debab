"""Embeddings of one-shots for the set distances, and their cache.

An embedder turns shots [B, 44100] into float32 [B, W, D]: W windows of D values for each shot. Its `id`
names its weights, so that a cached embedding can never outlive them. "codec" is the codec's own continuous
latent, the mean over each eighth of the shot. The others are pretrained networks whose weights must lie in
the weights folder (see `pretrained.py`); without them the column says so and holds no figure.
"""

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np

from dose import files
from dose.errors import DoseError


class Embedder(Protocol):
    name: str
    id: str

    def embed(self, shots: np.ndarray) -> np.ndarray: ...


def embed_cached(embedder: Embedder, shots: np.ndarray, cache: Path | None, *, batch: int = 32) -> np.ndarray:
    """[n, 44100] -> [n, W, D]; kept in `cache` under the hash of the sounds and the embedder's id.

    Raises DoseError when the network yields values that are not finite.
    """
    shots = np.ascontiguousarray(shots, dtype=np.float32)
    digest = hashlib.sha256(shots.tobytes()).hexdigest()[:24]
    path = (
        None if cache is None else cache / f"{embedder.name}-{files.hash_json(embedder.id)}" / f"{digest}.npy"
    )
    if path is not None and path.is_file():
        return np.load(path)
    out = np.concatenate([embedder.embed(shots[i : i + batch]) for i in range(0, len(shots), batch)])
    if not np.isfinite(out).all():
        raise DoseError(f"The {embedder.name} network yields values that are not finite; check its weights.")
    if path is not None:
        with files.atomic(path) as beside:
            np.save(beside, out.astype(np.float32))
    return out.astype(np.float32)
