"""Speed of scoring: set distances over 10,000 embeddings, and item by item scoring of four rows."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embeddings", type=int, default=10_000, help="per set (default 10000)")
    parser.add_argument("--size", type=int, default=512, help="values per embedding (default 512)")
    parser.add_argument("--items", type=int, default=300, help="items to score (default 300)")
    parser.add_argument("--rows", type=int, default=4, help="rows to score (default 4)")
    parser.add_argument("--threads", type=int, default=2, help="of torch (default 2)")


def run(args: argparse.Namespace) -> dict:
    """Prints a table and returns seconds by task."""
    import torch

    torch.set_num_threads(args.threads)
    figures = _distances(args.embeddings, args.size) | _scoring(args.items, args.rows)
    for name, value in figures.items():
        print(f"{name:24s} {value:8.2f} s")
    return figures


def _distances(count: int, size: int) -> dict[str, float]:
    from dose.metrics.frechet import frechet
    from dose.metrics.kernel import kad

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, count, size), dtype=np.float32)
    start = time.perf_counter()
    frechet(x, y)
    middle = time.perf_counter()
    kad(x[:, None], y[:, None])
    return {"fad_s": middle - start, "kad_s": time.perf_counter() - middle}


def _scoring(count: int, rows: int) -> dict[str, float]:
    """All of `evaluate` for one data set and three drums, on decaying noise, without generation."""
    from dose import audio
    from dose.codec import bundled_codec
    from dose.drums import DRUMS
    from dose.evaluate.config import EvaluateConfig
    from dose.evaluate.datasets import Item
    from dose.evaluate.results import Entry
    from dose.evaluate.run import evaluate
    from dose.metrics.latents import CodecEmbedder

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("truth", *(f"row{i}" for i in range(rows))):
            for index in range(count):
                sound = rng.standard_normal(44100).astype(np.float32) * np.exp(-np.arange(44100) / 4000)
                for drum in DRUMS:
                    audio.write(root / folder / f"{index:06d}" / f"{drum}.wav", 0.2 * sound)
        shots = [{d: root / "truth" / f"{i:06d}" / f"{d}.wav" for d in DRUMS} for i in range(count)]
        items = [Item(index=i, mix=root, shots=paths) for i, paths in enumerate(shots)]
        entries = [Entry(name=f"row {i}", folder=root / f"row{i}") for i in range(rows)]
        start = time.perf_counter()
        evaluate(EvaluateConfig(), {"rmod": items}, {"rmod": entries}, [CodecEmbedder(bundled_codec())])
        return {"scoring_s": time.perf_counter() - start}
