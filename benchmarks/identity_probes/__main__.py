"""Runs all probes in one tree and writes what they found as JSON. `benchmarks.identity` starts this."""

import argparse
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from . import data, inputs, kits, parts, training
from .adapter import Tree
from .values import Values

# In this order: the later ones use what the first three leave in the scratch folder.
PROBES: dict[str, Callable[[Tree], Values]] = {
    "sources": data.sources,
    "export": data.export,
    "tokens": data.tokens,
    "training": training.training,
    "codec": parts.codec,
    "metrics": parts.metrics,
    "gate": parts.gate,
    "confidence": parts.confidence,
    "decoding": parts.decoding,
    "kits": kits.kits,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("old", "new"))
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tree = Tree(args.side, args.tree, args.scratch, args.models, args.quick)
    inputs.fix(tree)
    args.out.write_text(json.dumps({name: _run(probe, tree) for name, probe in PROBES.items()}))


def _run(probe: Callable[[Tree], Values], tree: Tree) -> dict[str, Any]:
    began = time.monotonic()
    try:
        found: dict[str, Any] = {"values": probe(tree)}
    except Exception as e:
        last = traceback.extract_tb(e.__traceback__)[-1]
        found = {"error": f"{type(e).__name__}: {e} ({Path(last.filename).name}, line {last.lineno})"}
    return {**found, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    main()
