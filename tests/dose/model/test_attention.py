"""Attention in chunks against attention at once."""

import math

import pytest
import torch

from dose.model import attention


@pytest.mark.parametrize("last", [1, 7, 12, 30])
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_chunks_give_what_a_mask_over_everything_gives(last, precision, tolerance, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK", 5)
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 30, 8).to(precision).requires_grad_() for _ in range(3))
    scores = q.double() @ k.double().transpose(2, 3) / math.sqrt(8)
    scores = scores.masked_fill(~torch.ones(30, 30).tril().bool(), -math.inf)
    wanted = (scores.softmax(-1) @ v.double())[:, :, 30 - last :]
    got = attention.causal(q, k, v, last)
    assert got.shape == wanted.shape
    assert got.dtype == precision
    torch.testing.assert_close(got.double(), wanted, rtol=tolerance, atol=tolerance)
    above = torch.randn_like(wanted)
    theirs = torch.autograd.grad(wanted, (q, k, v), above)
    ours = torch.autograd.grad(got, (q, k, v), above.to(precision))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.float(), b.float(), rtol=tolerance, atol=tolerance)
