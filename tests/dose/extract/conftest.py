"""A bundle with tiny random models: everything real but what they have learnt."""

import shutil

import pytest
import torch

from dose.codec import bundled_codec
from dose.drums import DRUMS
from dose.extract.bundle import assemble
from dose.model import checkpoint
from dose.model.transformer import Dose, ModelConfig

PROMPT = {"kind": "hits", "hits": 2, "seconds": 0.2}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """The folder of a bundle on the real compact codec."""
    root = tmp_path_factory.mktemp("models")
    codec = bundled_codec()
    (root / "codec").mkdir()
    codec.save(root / "codec")
    for i, drum in enumerate(DRUMS):
        torch.manual_seed(i)
        model = Dose(ModelConfig(layers=1, width=32, heads=2, frames=24, excerpts=2))
        meta = {"drum": drum, "codec_id": codec.id, "data_id": "made-up", "prompt": PROMPT, "steps": 0}
        checkpoint.save(root / drum, model, meta)
    return assemble(root / "bundle", codec=root / "codec", checkpoints={d: root / d for d in DRUMS}).folder


@pytest.fixture(scope="session")
def extractor(bundle):
    from dose.extract import Extractor

    return Extractor.load(bundle)


@pytest.fixture
def bundle_copy(bundle, tmp_path):
    """The same in a folder that a test may change."""
    return shutil.copytree(bundle, tmp_path / "bundle")
