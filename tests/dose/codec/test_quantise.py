import pytest
import torch

from dose.codec import quantise


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 6, generator=generator).double()
    books = torch.stack([torch.randn(20, 6, generator=generator) * s for s in (1, 0.5, 0.25)])
    weighting = quantise.Weighting(groups=torch.tensor([0, 0, 1, 1, 1, 2]), count=3)
    weights = torch.rand(300, 3, generator=generator).double() + 0.1
    return x, books, weighting, weights


def cost(x, codes, books, each):
    return (each * (x - quantise.look_up(codes, books.double())) ** 2).sum(-1)


def test_greedy_search_equals_a_loop(case):
    x, books, weighting, weights = case
    codes = quantise.beam_search(x, books, weighting, weights, beam=1)
    for i in range(len(x)):
        rest, each = x[i].clone(), weighting.per_dimension(weights[i])
        for s, book in enumerate(books.double()):
            best = min(range(20), key=lambda n: float((each * (rest - book[n]) ** 2).sum()))
            assert int(codes[i, s]) == best
            rest = rest - book[best]


def test_a_full_beam_equals_exhaustive_search(case):
    x, books, weighting, weights = case
    x, weights, books = x[:10], weights[:10], books[:2]
    codes = quantise.beam_search(x, books, weighting, weights, beam=400)
    each = weighting.per_dimension(weights)
    every = torch.cartesian_prod(torch.arange(20), torch.arange(20))
    for i in range(10):
        best = cost(x[i], every, books, each[i]).min()
        assert torch.isclose(cost(x[i], codes[i], books, each[i]), best)


def test_a_wider_beam_is_better_on_average(case):
    x, books, weighting, weights = case
    each = weighting.per_dimension(weights)
    errors = [
        float(cost(x, quantise.beam_search(x, books, weighting, weights, beam), books, each).mean())
        for beam in (1, 2, 8)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_nearest_entries_are_sorted_by_their_distance(case):
    x, books, weighting, weights = case
    found = quantise.nearest_entries(x, books[0], weighting, weights, 5)
    each = weighting.per_dimension(weights)
    expected = (each[:, None] * (x[:, None] - books[0].double()) ** 2).sum(-1).argsort(-1)[:, :5]
    assert torch.equal(found, expected)


def test_k_means_uses_every_entry_and_lowers_the_error():
    generator = torch.Generator().manual_seed(3)
    # Half of the rows are equal: entries that begin as one of them stay unused without a reset.
    x = torch.cat([torch.zeros(500, 6), torch.randn(500, 6, generator=generator)])
    ones, weighting = torch.ones(1000, 1), quantise.unweighted(6)
    errors = []
    for rounds in (1, 12):
        book = quantise.k_means(x, 64, weighting, ones, rounds=rounds, seed=0)
        codes, error = quantise.assign(x, book, weighting, ones)
        errors.append(float(error.mean()))
    assert errors[1] < 0.7 * errors[0]
    assert len(codes.unique()) > 56


def test_fewer_rows_than_entries_are_refused():
    with pytest.raises(ValueError, match="too few"):
        quantise.k_means(torch.zeros(3, 2), 4, quantise.unweighted(2), torch.ones(3, 1), rounds=1, seed=0)
