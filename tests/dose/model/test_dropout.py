"""Dropout on a CPU: as often as asked, by the seed, and with the right gradient."""

import pytest
import torch

from dose.model.dropout import dropout


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5])
def test_as_many_elements_as_asked_are_dropped_and_the_rest_makes_up_for_it(p):
    torch.manual_seed(0)
    y = dropout(torch.ones(1001, 999), p, training=True)
    n = y.numel()
    assert abs(float((y == 0).sum()) / n - p) < 5 * (p * (1 - p) / n) ** 0.5  # five standard deviations
    torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 1 / (1 - p)))


def test_neighbours_that_share_a_random_number_are_dropped_independently():
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(400_000), 0.3, training=True) == 0).double().view(-1, 4)
    correlation = torch.corrcoef(dropped.T) - torch.eye(4)
    assert correlation.abs().max() < 0.02


def test_the_seed_decides():
    def drawn(seed):
        torch.manual_seed(seed)
        return dropout(torch.ones(100), 0.5, training=True)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_the_gradient_passes_where_the_value_did():
    x = torch.ones(50, requires_grad=True)
    y = dropout(x, 0.5, training=True)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y.detach())


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_outside_of_training_or_at_zero(p, training):
    x = torch.randn(10)
    assert torch.equal(dropout(x, p, training), x)
