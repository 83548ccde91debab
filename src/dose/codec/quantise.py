"""Residual vector quantisation: k-means to fit the codebooks, a beam search to use them.

Decisions between two entries are taken on float64 distances, so that a code never depends on how many
frames happen to share a matrix product. The fast float32 product only draws up the short list.
"""

import dataclasses

import torch
from torch import Tensor

TILE = 256  # frames searched at once; bounds the memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weighting:
    """Which dimensions share a weight: `bands` int64 [D] maps a dimension to its column of the weights."""

    bands: Tensor
    count: int

    def spread(self, weights: Tensor) -> Tensor:
        """[F, count] to [F, D]."""
        return weights[..., self.bands]

    def squares(self, book: Tensor) -> Tensor:
        """Sum of squares of each entry per band: [N, D] to [count, N]."""
        out = torch.zeros(self.count, len(book), dtype=book.dtype)
        return out.index_add_(0, self.bands, (book * book).T.contiguous())


def plain(dims: int) -> Weighting:
    """One weight for all dimensions."""
    return Weighting(bands=torch.zeros(dims, dtype=torch.long), count=1)


def search(x: Tensor, books: Tensor, weighting: Weighting, weights: Tensor, beam: int) -> Tensor:
    """Codes int64 [F, S] whose entries' sum comes close to x, stage after stage, `beam` paths kept.

    x float64 [F, D]; books [S, N, D]; weights float64 [F, weighting.count]. Close is the weighted squared
    distance. The beam (M-best) search is the classic one for multistage VQ (LeBlanc et al., 1993).
    """
    squares = [weighting.squares(book.float()) for book in books]
    tiles = [
        _search_tile(x[i : i + TILE], books, squares, weighting, weights[i : i + TILE], beam)
        for i in range(0, len(x), TILE)
    ]
    return torch.cat(tiles) if tiles else torch.zeros(0, len(books), dtype=torch.long)


def _search_tile(
    x: Tensor, books: Tensor, squares: list[Tensor], weighting: Weighting, weights: Tensor, beam: int
) -> Tensor:
    frames, dims = x.shape
    entries = books.shape[1]
    each = weighting.spread(weights)  # [F, D]
    light = weights.float()
    rest = x[:, None]  # [F, P, D], what each path has left
    cost = (each * x * x).sum(-1, keepdim=True)  # [F, P]
    codes = torch.zeros(frames, 1, 0, dtype=torch.long)
    for book, square in zip(books, squares, strict=True):
        paths = rest.shape[1]
        product = (rest * each[:, None]).float().reshape(-1, dims) @ book.float().T
        score = (light @ square)[:, None] - 2 * product.reshape(frames, paths, entries)
        score += cost.float()[..., None]
        short = score.reshape(frames, -1).topk(min(2 * beam + 2, paths * entries), largest=False).indices
        parent, entry = short // entries, short % entries
        left = rest.gather(1, parent[..., None].expand(-1, -1, dims)) - book[entry].double()
        exact = (each[:, None] * left * left).sum(-1)
        best = exact.sort(dim=1, stable=True).indices[:, :beam]
        rest = left.gather(1, best[..., None].expand(-1, -1, dims))
        cost = exact.gather(1, best)
        grown = torch.cat(
            [codes.gather(1, parent[..., None].expand(-1, -1, codes.shape[2])), entry[..., None]], -1
        )
        codes = grown.gather(1, best[..., None].expand(-1, -1, grown.shape[2]))
    return codes[:, 0]


def shortlist(x: Tensor, book: Tensor, weighting: Weighting, weights: Tensor, count: int) -> Tensor:
    """The `count` nearest entries of each row, nearest first, int64 [F, count]. Float64 throughout."""
    book = book.double()
    square = weighting.squares(book)
    out = []
    for i in range(0, len(x), 1024):
        part, w = x[i : i + 1024], weights[i : i + 1024]
        score = w @ square - 2 * ((part * weighting.spread(w)) @ book.T)
        out.append(score.topk(min(count, len(book)), largest=False).indices)
    return torch.cat(out) if out else torch.zeros(0, count, dtype=torch.long)


def look_up(codes: Tensor, books: Tensor) -> Tensor:
    """Sum of the entries: int64 [..., S] and [S, N, D] to [..., D]."""
    return sum((book[codes[..., s]] for s, book in enumerate(books)), torch.zeros(()))


def assign(x: Tensor, book: Tensor, weighting: Weighting, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest entry of each row in float32, for fitting: codes [F] and weighted squared errors [F]."""
    square = weighting.squares(book)
    codes, errors = [], []
    for i in range(0, len(x), 4096):
        part, w = x[i : i + 4096], weights[i : i + 4096]
        each = weighting.spread(w)
        score = w @ square - 2 * ((part * each) @ book.T)
        low, code = score.min(dim=1)
        codes.append(code)
        errors.append(low + (each * part * part).sum(-1))
    return torch.cat(codes), torch.cat(errors).clamp_min(0)


def centroids(
    x: Tensor, codes: Tensor, book: Tensor, weighting: Weighting, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted mean of the rows of each entry, [N, D], and how many rows each has, [N].

    Entries without rows stay as they are.
    """
    each = weighting.spread(weights)
    top = torch.zeros_like(book).index_add_(0, codes, x * each)
    bottom = torch.zeros(len(book), weighting.count).index_add_(0, codes, weights)
    count = torch.bincount(codes, minlength=len(book))
    mean = top / weighting.spread(bottom).clamp_min(1e-12)
    return torch.where(count[:, None] > 0, mean, book), count


def k_means(
    x: Tensor, entries: int, weighting: Weighting, weights: Tensor, *, rounds: int, seed: int
) -> Tensor:
    """Codebook [entries, D] for the rows of x [F, D] float32, by Lloyd's algorithm from rows drawn at random.

    Entries that no row chooses, and those of a single row while others are crowded, move onto the rows that
    are served worst, so every entry is used by the end. Raises ValueError for fewer rows than entries.
    """
    if len(x) < entries:
        raise ValueError(f"{len(x)} frames are too few for {entries} codebook entries")
    draw = torch.Generator().manual_seed(seed)
    book = x[torch.randperm(len(x), generator=draw)[:entries]].clone()
    for i in range(rounds):
        codes, errors = assign(x, book, weighting, weights)
        book, count = centroids(x, codes, book, weighting, weights)
        dead = (count < 2).nonzero()[:, 0]
        if len(dead) and i < rounds - 1:
            chance = torch.multinomial(errors.double() + 1e-12, len(dead), generator=draw)
            book[dead] = x[chance]
    return book
