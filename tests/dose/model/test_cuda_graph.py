"""The step of static shapes against the growing one; on a GPU, its replay against the CPU's tokens."""

import pytest
import torch

from dose.model.config import ModelConfig
from dose.model.cuda_graph import static_step
from dose.model.decode import generate
from dose.model.engine import DecodingEngine
from dose.model.transformer import DoseModel

SWITCHES = {"paper": {}, "rotary": {"positions": "rotary"}, "unconstrained": {"decoding": "unconstrained"}}


def tiny(**switches: object) -> DoseModel:
    torch.manual_seed(0)
    model = DoseModel(
        ModelConfig(layers=2, width=32, heads=4, codebooks=4, codebook_size=30, frames=12, **switches)
    ).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", SWITCHES)
@torch.inference_mode()
def test_the_static_step_is_the_step(name, precision):
    engine = DecodingEngine(tiny(**SWITCHES[name]), precision)
    prefix, steps = torch.randn(3, 9, 32), torch.randn(5, 3, 1, 32)
    growing, static = (engine.cache(3, 9, 8) for _ in range(2))
    for cache in (growing, static):
        engine.prefill(prefix, cache, slice(None))
    for x in steps:
        position = torch.tensor([static.length])
        logits = static_step(engine, x, static, position)
        static.length += 1
        expected = engine.step(x, growing)
        tolerance = 1e-4 if precision == "fp32" else 0.03 * expected.abs().max()
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=float(tolerance))
    assert torch.equal(static.kv[..., :14, :] != 0, growing.kv[..., :14, :] != 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", SWITCHES)
def test_replayed_on_a_gpu_the_tokens_are_the_cpus(name):
    model = tiny(**SWITCHES[name])
    prompt = torch.randint(30, (3, 4, 21), generator=torch.Generator().manual_seed(1))
    expected = generate(model, prompt)
    assert torch.equal(generate(model.to("cuda"), prompt), expected)
