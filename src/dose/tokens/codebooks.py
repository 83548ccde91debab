"""What each code sounds like, as a vector: a place to start embeddings from."""

import numpy as np
import torch
from torch import Tensor

from dose.codec import Codec


def codebook_vectors(codec: Codec) -> np.ndarray | None:
    """The entries of each codebook, float32 [K, N, D], zero-padded in D; None for a codec that shows none.

    Vectors of one codebook can be compared with each other, not with those of another.
    """
    books = _books(codec)
    if books is None:
        return None
    out = np.zeros((codec.K, codec.N, max(b.shape[1] for b in books)), np.float32)
    for row, book in zip(out, books, strict=True):
        row[:, : book.shape[1]] = book.float().numpy()
    return out


def _books(codec: Codec) -> list[Tensor] | None:
    if codec.kind == "compact":
        tables: dict[str, Tensor] = codec.tables  # type: ignore[attr-defined]
        return [*tables["envelope"], *tables["wave"]]
    if codec.kind == "dac":
        quantisers = codec.model.quantizer.quantizers  # type: ignore[attr-defined]
        # The lookup compares directions (L2-normalised), so directions are what a code is.
        return [torch.nn.functional.normalize(q.codebook.weight.detach().cpu(), dim=1) for q in quantisers]
    return None
