"""Generation: the prompt once, then row by row of K tokens against the cache, many requests together."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dose.model.cuda_graph import GraphedStep
from dose.model.engine import DecodingEngine, KVCache
from dose.model.sampling import Sampler, Sampling
from dose.model.transformer import DoseModel, ModelConfig
from dose.tokens import layout
from dose.tokens.delay import EMPTY


@torch.inference_mode()
def generate(
    model: DoseModel | DecodingEngine,
    prompt: Tensor,
    sampling: Sampling | Sequence[Sampling] = Sampling(),  # noqa: B008 (frozen)
    max_rows: int | None = None,
    drum: Tensor | None = None,
) -> Tensor:
    """Prompt codes [B, K, P] to token rows [B, S, K], int64, on the CPU; `layout.shot_codes` reads them.

    With structure "free" (the authors' way) row 0 is predicted too, a request stops after the first all-empty
    row that is not row 0, and what follows is empty. With "fixed" the start row, the empty cells and the end
    are set, and every other cell holds a code. S is `max_rows`, by default the length trained on. `sampling`
    is one rule for all (each request then gets its seed plus its place) or one per request; `drum` [B] is for
    shared models. Raises ValueError for a prompt that does not fit the model.
    """
    engine = model if isinstance(model, DecodingEngine) else DecodingEngine(model)
    _check(engine.config, prompt)
    rules = _each(sampling, len(prompt))
    return _Run(engine, prompt.to(engine.device), rules, max_rows or engine.config.rows, drum).rows()


@torch.inference_mode()
def teacher_forced(engine: DecodingEngine, prompt: Tensor, rows: Tensor) -> Tensor:
    """The logits [B, S, K, V] with which the engine predicts each of the given token rows [B, S, K]."""
    seen = engine.model.read_prompt(prompt.to(engine.device))
    rows = rows.to(engine.device)
    cache = engine.cache(len(prompt), seen.rows.shape[1], rows.shape[1])
    logits = [engine.prefill(seen.rows, cache, slice(None))]
    for s in range(rows.shape[1] - 1):
        x = engine.model.embed_rows(rows[:, s : s + 1])
        logits.append(engine.step(x if seen.added is None else x + seen.added[:, s + 1 : s + 2], cache))
    return torch.stack(logits, dim=1)


def _each(sampling: Sampling | Sequence[Sampling], n: int) -> list[Sampling]:
    if isinstance(sampling, Sampling):
        return [dataclasses.replace(sampling, seed=sampling.seed + i) for i in range(n)]
    if len(sampling) != n:
        raise ValueError(f"{len(sampling)} samplings for {n} requests")
    return list(sampling)


def _check(config: ModelConfig, prompt: Tensor) -> None:
    if prompt.ndim != 3 or prompt.shape[1] != config.prompt_rows:
        raise ValueError(f"the prompt must be [B, {config.prompt_rows}, P], not {list(prompt.shape)}")
    if prompt.numel() == 0 or prompt.min() < 0 or prompt.max() >= config.prompt_values:
        raise ValueError(f"prompt codes must lie in 0..{config.prompt_values - 1} and there must be some")


class _Run:
    """One call of `generate`. A lane is a row of the cache: one per request, a second if it is guided."""

    def __init__(
        self,
        engine: DecodingEngine,
        prompt: Tensor,
        samplings: list[Sampling],
        max_rows: int,
        drum: Tensor | None,
    ) -> None:
        self.engine, self.model, self.config = engine, engine.model, engine.config
        self.fixed = self.config.structure == "fixed"
        self.limit = min(max_rows, self.config.rows) if self.fixed else max_rows
        self.out = torch.zeros(prompt.shape[0], max_rows, self.config.codebooks, dtype=torch.long)
        self.alive = list(range(prompt.shape[0]))
        self.guided = [i for i, s in enumerate(samplings) if s.guidance != 1]
        self.chooser = Sampler(samplings)
        self.occupied = layout.occupied(self.config.frames, self.config.codebooks, self.config.pattern).to(
            engine.device
        )
        self.prompt = torch.cat([prompt, torch.full_like(prompt[self.guided], -1)])
        self.drum = None if drum is None else torch.cat([drum, drum[self.guided]]).to(engine.device)
        self.seen = self.model.read_prompt(self.prompt, self.drum)
        self.added = self.seen.added

    def rows(self) -> Tensor:
        row = int(self.fixed)  # the first row to predict: a fixed start row is part of the prompt's pass
        last = self.limit - 1 if self.fixed and self.limit == self.config.rows else self.limit
        if row >= last:
            return self.out
        logits, cache = self._prefill()
        step = self._stepper(cache)
        while True:
            tokens = self._choose(logits, row)
            self.out[self.alive, row] = tokens.cpu()
            if row + 1 >= last:
                return self.out
            before = len(self.alive)
            tokens = self._retire(tokens, row, cache)
            if not self.alive:
                return self.out
            if len(self.alive) < before:  # a graph's shapes are fixed
                step = self._stepper(cache)
            logits = step(self._embed(tokens, row + 1))
            row += 1

    def _prefill(self) -> tuple[Tensor, KVCache]:
        x = self.seen.rows
        prefix = x.shape[1]
        if self.fixed:
            start = self.prompt.new_zeros(len(self.prompt), self.config.codebooks)
            x = torch.cat([x, self._add(self.model.embed_rows(start[:, None]), 1)], dim=1)
        cache = self.engine.cache(len(x), prefix, self.limit)
        if x.is_cuda:
            return self.engine.prefill(x, cache, slice(None)), cache
        # One by one: as fast where arithmetic is the limit, and rounding cannot depend on the company.
        logits = [self.engine.prefill(x[i : i + 1], cache, slice(i, i + 1)) for i in range(len(x))]
        return torch.cat(logits), cache

    def _stepper(self, cache: KVCache) -> Callable[[Tensor], Tensor]:
        """One embedded row per lane [lanes, 1, d] to its logits [lanes, K, V]."""
        if cache.kv.is_cuda:
            return GraphedStep(self.engine, cache)
        return lambda x: self.engine.step(x, cache)

    def _choose(self, logits: Tensor, row: int) -> Tensor:
        """Logits [lanes, K, V] to tokens [alive, K]."""
        n = len(self.alive)
        if self.guided:
            scale = torch.tensor([self.chooser.samplings[i].guidance for i in self.guided]).to(logits)
            empty, prompted = logits[n:], logits[self.guided]
            logits = logits[:n].index_copy(
                0,
                torch.tensor(self.guided, device=logits.device),
                empty + scale[:, None, None] * (prompted - empty),
            )
        if not self.fixed:
            return self.chooser.choose(logits)
        logits = logits.clone()
        logits[..., EMPTY] = -torch.inf
        return torch.where(self.occupied[row], self.chooser.choose(logits), EMPTY)

    def _retire(self, tokens: Tensor, row: int, cache: KVCache) -> Tensor:
        """Lets the requests leave that have just said the end; the tokens of those that stay."""
        if self.fixed or row == 0:
            return tokens
        stays = (tokens != EMPTY).any(dim=1)
        if stays.all():
            return tokens
        keep = stays.nonzero()[:, 0].tolist()
        lanes = keep + [len(self.alive) + j for j, i in enumerate(self.guided) if i in keep]
        cache.keep(torch.tensor(lanes, dtype=torch.long, device=tokens.device))
        if self.added is not None:
            self.added = self.added[lanes]
        self.guided = [keep.index(i) for i in self.guided if i in keep]
        self.alive = [self.alive[i] for i in keep]
        self.chooser.keep(keep)
        return tokens[keep]

    def _embed(self, tokens: Tensor, predicts: int) -> Tensor:
        """Tokens [alive, K] as the input [lanes, 1, d] from which row `predicts` is said."""
        x = self.model.embed_rows(torch.cat([tokens, tokens[self.guided]])[:, None])
        return self._add(x, predicts)

    def _add(self, x: Tensor, predicts: int) -> Tensor:
        if self.added is None or predicts >= self.added.shape[1]:
            return x
        return x + self.added[:, predicts : predicts + 1]
