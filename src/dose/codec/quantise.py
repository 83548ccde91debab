"""Residual vector quantisation (RVQ): k-means fits the codebooks, a beam search encodes with them.

A vector is approximated by the sum of one entry per codebook, each codebook fitted to what those before it
leave (multistage VQ: Juang and Gray, 1982). Decisions between two entries are taken on float64 distances, so
that a code never depends on how many frames share a matrix product; the fast float32 product only selects
candidates.

Axes: F frames, S stages (codebooks), N codebook size, D dimensions, G weight groups.
"""

import dataclasses

import torch
from torch import Tensor

TILE = 256  # frames searched at once; bounds the memory
ASSIGN_ROWS, NEAREST_ROWS = 4096, 1024  # rows compared with a codebook at once, for the same reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weighting:
    """Which dimensions share a weight: `groups` int64 [D] gives each dimension's column of the weights."""

    groups: Tensor
    count: int

    def per_dimension(self, weights: Tensor) -> Tensor:
        """[F, G] to [F, D]."""
        return weights[..., self.groups]

    def squared_norms(self, book: Tensor) -> Tensor:
        """Sum of squares of each entry per group: [N, D] to [G, N]."""
        out = torch.zeros(self.count, len(book), dtype=book.dtype)
        return out.index_add_(0, self.groups, (book * book).T.contiguous())


def unweighted(dims: int) -> Weighting:
    """One weight for all dimensions."""
    return Weighting(groups=torch.zeros(dims, dtype=torch.long), count=1)


def beam_search(x: Tensor, books: Tensor, weighting: Weighting, weights: Tensor, beam: int) -> Tensor:
    """Codes int64 [F, S] whose entries' sum is close to x, stage after stage, with `beam` paths per frame.

    x float64 [F, D]; books [S, N, D]; weights float64 [F, G]. The distance is the weighted squared error. The
    beam (M-best) search for multistage VQ is that of LeBlanc et al., 1993.
    """
    norms = [weighting.squared_norms(book.float()) for book in books]
    tiles = [
        _search_tile(x[i : i + TILE], books, norms, weighting, weights[i : i + TILE], beam)
        for i in range(0, len(x), TILE)
    ]
    return torch.cat(tiles) if tiles else torch.zeros(0, len(books), dtype=torch.long)


def _search_tile(
    x: Tensor, books: Tensor, norms: list[Tensor], weighting: Weighting, weights: Tensor, beam: int
) -> Tensor:
    frames, dims = x.shape
    entries = books.shape[1]
    dim_weights = weighting.per_dimension(weights)  # [F, D]
    weights32 = weights.float()
    residual = x[:, None]  # [F, P, D], what each path leaves; P = 1, then `beam`
    cost = (dim_weights * x * x).sum(-1, keepdim=True)  # [F, P], weighted squared residual
    codes = torch.zeros(frames, 1, 0, dtype=torch.long)  # [F, P, stages so far]
    for book, norm in zip(books, norms, strict=True):
        paths = residual.shape[1]
        # 1. Error of every entry after every path in float32: |r|^2 + |e|^2 - 2 r.e, [F, P, N].
        product = (residual * dim_weights[:, None]).float().reshape(-1, dims) @ book.float().T
        score = (weights32 @ norm)[:, None] - 2 * product.reshape(frames, paths, entries)
        score += cost.float()[..., None]
        # 2. A few more candidates than paths, [F, C], because float32 may confuse near ones.
        candidates = score.reshape(frames, -1).topk(min(2 * beam + 2, paths * entries), largest=False).indices
        parent, entry = candidates // entries, candidates % entries
        # 3. Their exact errors in float64; ties go to the better float32 score.
        left = residual.gather(1, parent[..., None].expand(-1, -1, dims)) - book[entry].double()  # [F, C, D]
        exact = (dim_weights[:, None] * left * left).sum(-1)  # [F, C]
        best = exact.sort(dim=1, stable=True).indices[:, :beam]
        # 4. The best become the paths of the next stage.
        residual = left.gather(1, best[..., None].expand(-1, -1, dims))
        cost = exact.gather(1, best)
        extended = torch.cat(
            [codes.gather(1, parent[..., None].expand(-1, -1, codes.shape[2])), entry[..., None]], -1
        )
        codes = extended.gather(1, best[..., None].expand(-1, -1, extended.shape[2]))
    return codes[:, 0]


def nearest_entries(x: Tensor, book: Tensor, weighting: Weighting, weights: Tensor, count: int) -> Tensor:
    """The `count` nearest entries of each row of x [F, D], nearest first, int64 [F, count]; in float64."""
    book = book.double()
    norm = weighting.squared_norms(book)
    out = []
    for i in range(0, len(x), NEAREST_ROWS):
        rows, w = x[i : i + NEAREST_ROWS], weights[i : i + NEAREST_ROWS]
        # The weighted squared error without |x|^2, which is the same for all entries.
        score = w @ norm - 2 * ((rows * weighting.per_dimension(w)) @ book.T)
        out.append(score.topk(min(count, len(book)), largest=False).indices)
    return torch.cat(out) if out else torch.zeros(0, count, dtype=torch.long)


def look_up(codes: Tensor, books: Tensor) -> Tensor:
    """The decoder: sum of the entries, int64 [..., S] and [S, N, D] to [..., D]."""
    return sum((book[codes[..., s]] for s, book in enumerate(books)), torch.zeros(()))


def assign(x: Tensor, book: Tensor, weighting: Weighting, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest entry of each row in float32, for fitting: codes [F] and weighted squared errors [F]."""
    norm = weighting.squared_norms(book)
    codes, errors = [], []
    for i in range(0, len(x), ASSIGN_ROWS):
        rows, w = x[i : i + ASSIGN_ROWS], weights[i : i + ASSIGN_ROWS]
        dim_weights = weighting.per_dimension(w)
        score = w @ norm - 2 * ((rows * dim_weights) @ book.T)
        low, code = score.min(dim=1)
        codes.append(code)
        errors.append(low + (dim_weights * rows * rows).sum(-1))
    return torch.cat(codes), torch.cat(errors).clamp_min(0)


def centroids(
    x: Tensor, codes: Tensor, book: Tensor, weighting: Weighting, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Weighted mean of the rows of each entry, [N, D], and how many rows each has, [N].

    Entries without rows stay as they are.
    """
    dim_weights = weighting.per_dimension(weights)
    weighted_sum = torch.zeros_like(book).index_add_(0, codes, x * dim_weights)  # [N, D]
    weight_sum = torch.zeros(len(book), weighting.count).index_add_(0, codes, weights)  # [N, G]
    count = torch.bincount(codes, minlength=len(book))
    mean = weighted_sum / weighting.per_dimension(weight_sum).clamp_min(1e-12)
    return torch.where(count[:, None] > 0, mean, book), count


def k_means(
    x: Tensor, entries: int, weighting: Weighting, weights: Tensor, *, rounds: int, seed: int
) -> Tensor:
    """Codebook [entries, D] for the rows of x [F, D] float32: Lloyd's algorithm from randomly chosen rows.

    After every round but the last, entries with fewer than two rows are replaced by rows with a large error
    (a codebook reset, which Jukebox and EnCodec do with random rows), so that every entry is used by the end.
    Raises ValueError for fewer rows than entries.
    """
    if len(x) < entries:
        raise ValueError(f"{len(x)} frames are too few for {entries} codebook entries")
    generator = torch.Generator().manual_seed(seed)
    book = x[torch.randperm(len(x), generator=generator)[:entries]].clone()
    for i in range(rounds):
        codes, errors = assign(x, book, weighting, weights)
        book, count = centroids(x, codes, book, weighting, weights)
        unused = (count < 2).nonzero()[:, 0]
        if len(unused) and i < rounds - 1:
            # Rows are chosen with a probability proportional to their error, as k-means++ chooses its seeds.
            chosen = torch.multinomial(errors.double() + 1e-12, len(unused), generator=generator)
            book[unused] = x[chosen]
    return book
