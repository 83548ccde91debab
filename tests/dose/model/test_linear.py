"""The training layer against torch's own, in values and gradients."""

import pytest
import torch

from dose.model.linear import Linear


@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 12)])
def test_values_and_gradients_are_those_of_torchs_layer(shape):
    torch.manual_seed(0)
    ours, theirs = Linear(12, 7), torch.nn.Linear(12, 7)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape, requires_grad=True)
    above = torch.randn(*shape[:-1], 7)
    got, wanted = ours(x), theirs(x)
    torch.testing.assert_close(got, wanted)
    mine = torch.autograd.grad(got, (x, *ours.parameters()), above)
    others = torch.autograd.grad(wanted, (x, *theirs.parameters()), above)
    for a, b in zip(mine, others, strict=True):
        torch.testing.assert_close(a, b)


def test_within_autocast_it_gives_bfloat16():
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(4, 4)(torch.randn(2, 4)).dtype == torch.bfloat16
