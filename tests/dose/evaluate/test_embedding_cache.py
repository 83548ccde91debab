"""The embedding cache: computed once for the same audio and weights; stores finite values only."""

import numpy as np
import pytest
from drum_sounds import CoarseCodec, shot

from dose.errors import DoseError
from dose.evaluate.embeddings import embed_cached
from dose.metrics.embeddings import CodecEmbedder


def test_an_embedding_is_cached_by_sound_and_weights_and_never_holds_nan(tmp_path):
    calls = []

    class Counting(CodecEmbedder):
        def embed(self, shots):
            calls.append(len(shots))
            return super().embed(shots)

    sounds = np.stack([shot("kick", i) for i in range(3)])
    embedder = Counting(CoarseCodec())
    first = embed_cached(embedder, sounds, tmp_path)
    assert np.array_equal(embed_cached(embedder, sounds, tmp_path), first)
    assert calls == [3]
    embedder.id = "other weights"
    embed_cached(embedder, sounds, tmp_path)
    embed_cached(embedder, sounds[::-1], tmp_path)
    assert calls == [3, 3, 3]

    class Broken(Counting):
        name = "broken"

        def embed(self, shots):
            return np.full((len(shots), 1, 2), np.nan)

    with pytest.raises(DoseError, match="broken"):
        embed_cached(Broken(CoarseCodec()), sounds, tmp_path)
