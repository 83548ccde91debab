import pytest
import torch

from dose.codec import quantise


@pytest.fixture
def case():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(300, 6, generator=draw).double()
    books = torch.stack([torch.randn(20, 6, generator=draw) * s for s in (1, 0.5, 0.25)])
    weighting = quantise.Weighting(bands=torch.tensor([0, 0, 1, 1, 1, 2]), count=3)
    weights = torch.rand(300, 3, generator=draw).double() + 0.1
    return x, books, weighting, weights


def cost(x, codes, books, each):
    return (each * (x - quantise.look_up(codes, books.double())) ** 2).sum(-1)


def test_greedy_search_equals_a_loop(case):
    x, books, weighting, weights = case
    codes = quantise.search(x, books, weighting, weights, beam=1)
    for i in range(len(x)):
        rest, each = x[i].clone(), weighting.spread(weights[i])
        for s, book in enumerate(books.double()):
            best = min(range(20), key=lambda n: float((each * (rest - book[n]) ** 2).sum()))
            assert int(codes[i, s]) == best
            rest = rest - book[best]


def test_a_full_beam_finds_the_best_of_all(case):
    x, books, weighting, weights = case
    x, weights, books = x[:10], weights[:10], books[:2]
    codes = quantise.search(x, books, weighting, weights, beam=400)
    each = weighting.spread(weights)
    every = torch.cartesian_prod(torch.arange(20), torch.arange(20))
    for i in range(10):
        best = cost(x[i], every, books, each[i]).min()
        assert torch.isclose(cost(x[i], codes[i], books, each[i]), best)


def test_a_wider_beam_is_better_on_average(case):
    x, books, weighting, weights = case
    each = weighting.spread(weights)
    errors = [
        float(cost(x, quantise.search(x, books, weighting, weights, beam), books, each).mean())
        for beam in (1, 2, 8)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_shortlist_is_sorted_by_true_distance(case):
    x, books, weighting, weights = case
    got = quantise.shortlist(x, books[0], weighting, weights, 5)
    each = weighting.spread(weights)
    true = (each[:, None] * (x[:, None] - books[0].double()) ** 2).sum(-1).argsort(-1)[:, :5]
    assert torch.equal(got, true)


def test_k_means_uses_every_entry_and_lowers_the_error(case):
    draw = torch.Generator().manual_seed(3)
    # Half of the rows are equal: entries drawn from them would die if nobody revived them.
    x = torch.cat([torch.zeros(500, 6), torch.randn(500, 6, generator=draw)])
    one, flat = torch.ones(1000, 1), quantise.plain(6)
    errors = []
    for rounds in (1, 12):
        book = quantise.k_means(x, 64, flat, one, rounds=rounds, seed=0)
        codes, error = quantise.assign(x, book, flat, one)
        errors.append(float(error.mean()))
    assert errors[1] < 0.7 * errors[0]
    assert len(codes.unique()) > 56


def test_too_few_rows_are_named():
    with pytest.raises(ValueError, match="too few"):
        quantise.k_means(torch.zeros(3, 2), 4, quantise.plain(2), torch.ones(3, 1), rounds=1, seed=0)
