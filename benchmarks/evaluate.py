"""Speed of scoring: set distances over 10,000 embeddings, and the whole evaluation of four systems."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embeddings", type=int, default=10_000, help="per set (default 10000)")
    parser.add_argument("--size", type=int, default=512, help="values per embedding (default 512)")
    parser.add_argument("--items", type=int, default=300, help="items to score (default 300)")
    parser.add_argument(
        "--systems", "--rows", type=int, default=4, help="systems to score (default 4; old name: --rows)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch (default 2)")


def run(args: argparse.Namespace) -> dict[str, float]:
    """Prints a table and returns seconds by task."""
    import torch

    torch.set_num_threads(args.threads)
    figures = _distances(args.embeddings, args.size) | _scoring(args.items, args.systems)
    for name, value in figures.items():
        print(f"{name:24s} {value:8.2f} s")
    return figures


def _distances(count: int, size: int) -> dict[str, float]:
    """Seconds of FAD and KAD between two sets [count, size] of noise."""
    from dose.metrics.fad import frechet_distance
    from dose.metrics.kad import kad

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, count, size), dtype=np.float32)
    start = time.perf_counter()
    frechet_distance(x, y)
    middle = time.perf_counter()
    kad(x[:, None], y[:, None])
    return {"fad_s": middle - start, "kad_s": time.perf_counter() - middle}


def _scoring(count: int, systems: int) -> dict[str, float]:
    """Seconds of `evaluate` for one data set and three drums, on decaying noise, without generation."""
    from dose import audio
    from dose.codec import bundled_codec
    from dose.drums import DRUMS
    from dose.evaluate.config import EvaluateConfig
    from dose.evaluate.datasets import Item
    from dose.evaluate.results import SystemOutputs
    from dose.evaluate.run import evaluate
    from dose.metrics.embeddings import CodecEmbedder

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("reference", *(f"system{i}" for i in range(systems))):
            for index in range(count):
                # A decay of 4000 samples (91 ms) is about that of a drum.
                sound = rng.standard_normal(44100).astype(np.float32) * np.exp(-np.arange(44100) / 4000)
                for drum in DRUMS:
                    audio.write(root / folder / f"{index:06d}" / f"{drum}.wav", 0.2 * sound)
        shots = [{d: root / "reference" / f"{i:06d}" / f"{d}.wav" for d in DRUMS} for i in range(count)]
        items = [Item(index=i, mix=root, shots=paths) for i, paths in enumerate(shots)]
        outputs = [SystemOutputs(name=f"system {i}", folder=root / f"system{i}") for i in range(systems)]
        # Generation and caches are left out: the files are there, and no cache folder is given.
        start = time.perf_counter()
        evaluate(EvaluateConfig(), {"rmod": items}, {"rmod": outputs}, [CodecEmbedder(bundled_codec())])
        return {"scoring_s": time.perf_counter() - start}
