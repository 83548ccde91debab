"""Generation: one pass over the prompt, then K tokens per step against the cache, for a batch of requests."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dose.model.config import ModelConfig
from dose.model.cuda_graph import GraphedStep
from dose.model.engine import DecodingEngine, KVCache
from dose.model.sampling import Sampler, Sampling
from dose.model.transformer import DoseModel
from dose.tokens import layout
from dose.tokens.delay import EMPTY


@torch.inference_mode()
def generate(
    model: DoseModel | DecodingEngine,
    prompt: Tensor,
    sampling: Sampling | Sequence[Sampling] = Sampling(),  # noqa: B008 (frozen)
    max_steps: int | None = None,
) -> Tensor:
    """Prompts [B, K, P] to tokens [B, S, K], int64, on the CPU; `layout.one_shot_codes` reads them.

    Unconstrained decoding (the authors') predicts step 0 too, and a request ends after the first all-empty
    step that is not step 0; what follows is empty. Constrained decoding sets the start step, the empty
    positions and the end, and every other position holds a code. S is `max_steps`, by default the length
    trained on. `sampling` is one rule for all (each request then gets its seed plus its place) or one per
    request. Raises ValueError for a prompt that does not fit the model.
    """
    engine = model if isinstance(model, DecodingEngine) else DecodingEngine(model)
    _check(engine.config, prompt)
    samplings = _per_request(sampling, len(prompt))
    return _Generation(engine, prompt.to(engine.device), samplings, max_steps or engine.config.steps).run()


@torch.inference_mode()
def teacher_forced(engine: DecodingEngine, prompt: Tensor, tokens: Tensor) -> Tensor:
    """The logits [B, S, K, V] with which the engine predicts each step of the given tokens [B, S, K]."""
    encoded = engine.model.encode_prompt(prompt.to(engine.device))
    tokens = tokens.to(engine.device)
    cache = engine.cache(len(prompt), encoded.prefix.shape[1], tokens.shape[1])
    logits = [engine.prefill(encoded.prefix, cache, slice(None))]
    for s in range(tokens.shape[1] - 1):
        x = engine.model.embed_tokens(tokens[:, s : s + 1])
        if encoded.features is not None:
            x = x + encoded.features[:, s + 1 : s + 2]
        logits.append(engine.step(x, cache))
    return torch.stack(logits, dim=1)


def _per_request(sampling: Sampling | Sequence[Sampling], n: int) -> list[Sampling]:
    if isinstance(sampling, Sampling):
        return [dataclasses.replace(sampling, seed=sampling.seed + i) for i in range(n)]
    if len(sampling) != n:
        raise ValueError(f"{len(sampling)} samplings for {n} requests")
    return list(sampling)


def _check(config: ModelConfig, prompt: Tensor) -> None:
    if prompt.ndim != 3 or prompt.shape[1] != config.prompt_channels:
        raise ValueError(f"the prompt must be [B, {config.prompt_channels}, P], not {list(prompt.shape)}")
    if prompt.numel() == 0 or prompt.min() < 0 or prompt.max() >= config.prompt_vocabulary:
        raise ValueError(f"prompt codes must lie in 0..{config.prompt_vocabulary - 1} and there must be some")


class _Generation:
    """One call of `generate`. Slot i of the batch holds request `active[i]`; finished requests leave it."""

    def __init__(
        self, engine: DecodingEngine, prompt: Tensor, samplings: list[Sampling], max_steps: int
    ) -> None:
        self.engine, self.model, self.config = engine, engine.model, engine.config
        self.constrained = self.config.decoding == "constrained"
        self.steps = min(max_steps, self.config.steps) if self.constrained else max_steps
        self.out = torch.zeros(prompt.shape[0], max_steps, self.config.codebooks, dtype=torch.long)
        self.active = list(range(prompt.shape[0]))
        self.sampler = Sampler(samplings)
        # Boolean [S, K]: the positions that hold a code. Constrained decoding leaves the others empty.
        self.occupied = layout.occupied(self.config.frames, self.config.codebooks, self.config.pattern).to(
            engine.device
        )
        self.prompt = self.model.encode_prompt(prompt)
        self.features = self.prompt.features

    def run(self) -> Tensor:
        # Constrained: step 0 and the last step of a whole one-shot are empty and need no prediction.
        step = int(self.constrained)
        end = self.steps - 1 if self.constrained and self.steps == self.config.steps else self.steps
        if step >= end:
            return self.out
        logits, cache = self._prefill()
        advance = self._stepper(cache)
        while True:
            # 1. Sample this step's tokens. [active, K]
            tokens = self._sample(logits, step)
            self.out[self.active, step] = tokens.cpu()
            if step + 1 >= end:
                return self.out
            # 2. Remove the requests that ended with it.
            before = len(self.active)
            tokens = self._remove_ended(tokens, step, cache)
            if not self.active:
                return self.out
            if len(self.active) < before:  # a graph's shapes are static: capture one for the smaller batch
                advance = self._stepper(cache)
            # 3. Feed them back for the next step's logits.
            step += 1
            logits = advance(self._with_features(self.model.embed_tokens(tokens[:, None]), step))

    def _prefill(self) -> tuple[Tensor, KVCache]:
        """The prompt's pass: logits [B, K, V] of the first step to predict, and the filled cache."""
        x = self.prompt.prefix
        prefix = x.shape[1]
        if self.constrained:  # the start step is known, so it joins the prompt's pass
            start = torch.zeros(len(x), 1, self.config.codebooks, dtype=torch.long, device=x.device)
            x = torch.cat([x, self._with_features(self.model.embed_tokens(start), 1)], dim=1)
        cache = self.engine.cache(len(x), prefix, self.steps)
        if x.is_cuda:
            return self.engine.prefill(x, cache, slice(None)), cache
        # On a CPU request by request: as fast where arithmetic is the limit, and the rounding of a request
        # cannot depend on the rest of the batch.
        logits = [self.engine.prefill(x[i : i + 1], cache, slice(i, i + 1)) for i in range(len(x))]
        return torch.cat(logits), cache

    def _stepper(self, cache: KVCache) -> Callable[[Tensor], Tensor]:
        """One embedded step per request [B, 1, d] to its logits [B, K, V]."""
        if cache.kv.is_cuda:
            return GraphedStep(self.engine, cache)
        return lambda x: self.engine.step(x, cache)

    def _sample(self, logits: Tensor, step: int) -> Tensor:
        """Logits [B, K, V] to tokens [B, K]."""
        if not self.constrained:
            return self.sampler.sample(logits)
        logits = logits.clone()
        logits[..., EMPTY] = -torch.inf
        return torch.where(self.occupied[step], self.sampler.sample(logits), EMPTY)

    def _remove_ended(self, tokens: Tensor, step: int, cache: KVCache) -> Tensor:
        """Drops the requests whose step is all empty from the batch; the tokens of the others."""
        if self.constrained or step == 0:
            return tokens
        continues = (tokens != EMPTY).any(dim=1)
        if continues.all():
            return tokens
        slots = continues.nonzero()[:, 0].tolist()
        cache.select(torch.tensor(slots, dtype=torch.long, device=tokens.device))
        if self.features is not None:
            self.features = self.features[slots]
        self.active = [self.active[i] for i in slots]
        self.sampler.select(slots)
        return tokens[slots]

    def _with_features(self, x: Tensor, predicted: int) -> Tensor:
        """Adds the conditioning features of step `predicted` to the input [B, 1, d] that predicts it."""
        if self.features is None or predicted >= self.features.shape[1]:
            return x
        return x + self.features[:, predicted : predicted + 1]
