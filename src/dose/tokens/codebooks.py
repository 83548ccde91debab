"""The codec's codebook vectors, from which a model's embeddings and head can be initialised."""

import numpy as np
import torch
from torch import Tensor

from dose.codec import Codec


def codebook_vectors(codec: Codec) -> np.ndarray | None:
    """The vectors of each codebook, float32 [K, N, D], zero-padded in D; None for a codec without any.

    Distances are defined within one codebook, not between vectors of different codebooks.
    """
    books = _books(codec)
    if books is None:
        return None
    out = np.zeros((codec.K, codec.N, max(b.shape[1] for b in books)), np.float32)
    for vectors, book in zip(out, books, strict=True):
        vectors[:, : book.shape[1]] = book.float().numpy()
    return out


def _books(codec: Codec) -> list[Tensor] | None:
    """One [N, D_k] per codebook."""
    if codec.kind == "compact":
        tables: dict[str, Tensor] = codec.tables  # type: ignore[attr-defined]
        return [*tables["envelope"], *tables["wave"]]
    if codec.kind == "dac":
        quantisers = codec.model.quantizer.quantizers  # type: ignore[attr-defined]
        # DAC's lookup compares L2-normalised vectors, so the normalised ones define the codes.
        return [torch.nn.functional.normalize(q.codebook.weight.detach().cpu(), dim=1) for q in quantisers]
    return None
