"""A bundle with tiny random models on the real compact codec: everything real but what they have learnt."""

from pathlib import Path

import torch

from dose.bundle import assemble
from dose.codec import bundled_codec
from dose.drums import DRUMS
from dose.model import checkpoint
from dose.model.config import ModelConfig
from dose.model.transformer import DoseModel

PROMPT = {"kind": "hits", "hits": 2, "seconds": 0.2}


def make(
    root: Path, seed: int = 0, layers: int = 1, width: int = 32, heads: int = 2, frames: int = 24
) -> Path:
    """Writes the bundle under `root` and gives its folder."""
    codec = bundled_codec()
    (root / "codec").mkdir(parents=True, exist_ok=True)
    codec.save(root / "codec")
    for i, drum in enumerate(DRUMS):
        torch.manual_seed(seed + i)
        model = DoseModel(ModelConfig(layers=layers, width=width, heads=heads, frames=frames, segments=2))
        meta = {"drum": drum, "codec_id": codec.id, "data_id": "made-up", "prompt": PROMPT, "steps": 0}
        checkpoint.save(root / drum, model, meta)
    return assemble(root / "bundle", codec=root / "codec", checkpoints={d: root / d for d in DRUMS}).folder
