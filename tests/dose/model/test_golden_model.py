"""A tiny seeded model with stored outputs: a refactor must leave logits, codes and losses as they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dose.model.config import ModelConfig
from dose.model.decode import generate
from dose.model.loss import losses, onset_mask
from dose.model.transformer import DoseModel
from dose.tokens import layout

GOLDEN = Path(__file__).parents[2] / "golden" / "model.npz"
VARIANTS = {
    "paper": {"decoding": "unconstrained"},
    "aligned": {"conditioning": "aligned", "segments": 3, "positions": "rotary"},
}


def outputs(name: str) -> dict[str, np.ndarray]:
    """Weights come from a plain formula, not from a generator whose stream a new torch may change."""
    model = DoseModel(
        ModelConfig(layers=2, width=32, heads=2, codebooks=4, codebook_size=30, frames=12, **VARIANTS[name])
    ).eval()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(0.5 * torch.sin(torch.arange(p.numel()) * (1.7 + 0.13 * i) + i).view(p.shape))
    prompt = (torch.arange(4 * 21) * 7 % 30).view(1, 4, 21)
    shot = layout.one_shot_steps((torch.arange(4 * 12) * 11 % 30).view(1, 4, 12))
    with torch.no_grad():
        logits = model(prompt, shot[:, :-1])
    loss = losses(logits, shot, onset_mask(shot.shape[1], 4, "paper"), 1.0)
    return {
        "logits": logits[0, :, :, ::5].numpy(),
        "codes": generate(model, prompt)[0].numpy(),
        "loss": np.array([float(loss.full), float(loss.onset), float(loss.total)]),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_codes_and_losses_are_those_on_disk(name):
    golden, now = np.load(GOLDEN), outputs(name)
    np.testing.assert_allclose(now["logits"], golden[f"{name}.logits"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(now["loss"], golden[f"{name}.loss"], rtol=1e-4)
    assert np.array_equal(now["codes"], golden[f"{name}.codes"])


def test_codebook_initialisation_gives_similar_codes_similar_embeddings():
    torch.manual_seed(0)
    config = ModelConfig(
        layers=1,
        width=512,
        heads=2,
        codebooks=3,
        codebook_size=40,
        frames=8,
        segments=2,
        conditioning="aligned",
    )
    model = DoseModel(config)
    codebooks = torch.randn(3, 40, 6)
    codebooks[:, 1] = codebooks[:, 0] + 0.01
    empty = model.embed.weight.view(3, 41, -1)[:, 0].clone()
    model.initialise_from_codebooks(codebooks, seed=1)
    for table in (model.embed.weight, model.head.weight, model.aligned_encoder.embed.weight):
        books = torch.nn.functional.normalize(table.view(3, 41, -1), dim=-1)
        near = (books[:, 1] * books[:, 2]).sum(-1)  # codes 0 and 1 are tokens 1 and 2
        far = (books[:, 1:2] * books[:, 3:]).sum(-1).mean()
        assert near.mean() > 0.35
        assert far.abs() < 0.1
    assert torch.equal(model.embed.weight.view(3, 41, -1)[:, 0], empty)


def test_initial_weights_are_small_and_biases_zero():
    torch.manual_seed(0)
    config = ModelConfig(layers=8, width=64, heads=2, codebooks=3, codebook_size=40, frames=8)
    for name, p in DoseModel(config).named_parameters():
        if p.ndim >= 2:
            residual = name.endswith(("proj.weight", "down.weight"))
            assert float(p.detach().std()) == pytest.approx(0.02 / 4 if residual else 0.02, rel=0.05), name
        elif name.endswith("bias"):
            assert not p.any(), name
        else:
            assert (p == 1).all(), name  # the scales of the layer norms
