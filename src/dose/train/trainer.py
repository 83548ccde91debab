"""One training run, from token shards to checkpoints, that a kill at any moment only delays.

Everything random is a function of (seed, step): the order of the pairs, dropout, which prompts are dropped.
So a resumed run repeats on a CPU, bit for bit, what the uninterrupted one would have done. With
torch.distributed initialised by the caller the same function trains on all processes together.
"""

import contextlib
import dataclasses
import logging
import shutil
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dose import compute, files
from dose.errors import ConfigError
from dose.model import checkpoint
from dose.model.condition_encoder import spectrogram_loss
from dose.model.loss import Losses, Region, losses, onset_mask, training_loss
from dose.model.transformer import DoseModel, ModelConfig
from dose.tokens import layout
from dose.tokens.band_energies import compress_power
from dose.tokens.shards import PromptKind
from dose.train import optim, state
from dose.train.augment import equalise_pairs
from dose.train.data import Batch, FitData, Pairs, batches

log = logging.getLogger(__name__)

Metrics = dict[str, float]
Report = Callable[[int, Metrics], None]
Evaluate = Callable[[DoseModel, int], Metrics]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How one model is trained; `model` says what it is."""

    model: ModelConfig
    prompt: PromptKind = "hits"  # see dose.tokens.prompt
    steps: int = 1000
    listen_steps: int = 0  # the first of them, in which the listener alone learns, from equalised pairs
    batch: int = 16  # pairs per process and micro-step
    accumulate: int = 1  # micro-steps per step
    lr: float = 1e-3
    lr_floor: float = 0.1  # the schedule's last learning rate, as a part of lr
    warmup: int = 100  # steps; the schedule starts anew after listen_steps
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of the gradient; 0 is off
    ema: float = 0.0  # decay of the averaged weights that are evaluated and kept; 0 is off
    onset_weight: float = 1.0
    onset_region: Region = "paper"
    picture_weight: float = 0.0  # of the error in what the one-shot is taken to look like, for `levels`
    prompt_dropout: float = 0.0  # part of the pairs trained with an empty prompt, for guidance
    from_vectors: bool = False  # start embeddings and head from what the codec's codes sound like
    precision: compute.Precision = "auto"  # number format: auto takes what is faster on this machine
    compile: bool = False
    evaluate_every: int = 250  # steps; also the distance between saved states
    evaluate_items: int = 128  # validation pairs per evaluation
    patience: int = 0  # evaluations without a lower validation loss before the run ends; 0 is off
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.evaluate_every, self.evaluate_items) < 1:
            raise ValueError("steps, batch, accumulate, evaluate_every and evaluate_items must be at least 1")
        if not 0 <= self.listen_steps < self.steps:
            raise ValueError("listen_steps must be fewer than steps")
        if not 0 <= self.warmup < min(self.listen_steps or self.steps, self.steps - self.listen_steps):
            raise ValueError("warmup must be shorter than steps, and than listen_steps and what is left")
        if not 0 <= self.ema < 1 or not 0 <= self.prompt_dropout < 1:
            raise ValueError("ema and prompt_dropout must be at least 0 and below 1")
        if min(self.onset_weight, self.picture_weight) < 0 or self.lr <= 0:
            raise ValueError("onset_weight and picture_weight must be at least 0 and lr above 0")
        if (self.prompt == "levels") != (self.model.aligned == "levels"):
            raise ValueError("a model with aligned 'levels' and prompts 'levels' need each other")
        if (self.picture_weight or self.listen_steps) and self.prompt != "levels":
            raise ValueError("picture_weight and listen_steps need prompts 'levels'")
        if self.listen_steps and not self.picture_weight:
            raise ValueError("listen_steps need a picture_weight")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    best: Path  # checkpoint with the lowest validation loss
    last: Path
    steps: int
    metrics: Metrics  # of the best checkpoint
    history: tuple[Metrics, ...]  # one entry per evaluation, with its step


def fit(
    config: FitConfig,
    data: FitData,
    out: Path,
    report: Report | None = None,
    evaluate: Evaluate | None = None,
    *,
    device: str | None = None,
    meta: dict[str, Any] | None = None,
    tick: Callable[[int], None] | None = None,
) -> FitResult:
    """Trains to `config.steps`, going on from `out` if it holds a run of the same params and data.

    `report(step, metrics)` is called after each evaluation, when the state is on disk. `evaluate(model,
    step)` adds the caller's own validation metrics, `tick(step)` hears of every step. `meta` goes into the
    checkpoints. What a run of other
    params left in `out` is removed first. Raises ValueError when the model and the data do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        run = _Trainer(
            config, data, Path(out), report, evaluate, device, meta or {}, tick or (lambda step: None)
        )
        return run.finish()


def choose_format(wanted: compute.Precision, device: torch.device, rows: int, width: int) -> compute.Choice:
    """fp32 or bf16 for training steps over so many time steps in all (batch times length) at this width, by a
    feed-forward layer's forward and backward pass."""
    rows = min(512, rows)  # beyond, the rate no longer changes
    up, down = (torch.full(s, 0.01, requires_grad=True) for s in ((4 * width, width), (width, 4 * width)))

    def prepare(number_format: compute.Format) -> compute.Work:
        x = torch.ones(rows, width)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=number_format == "bf16"):
                y = nn.functional.linear(nn.functional.gelu(nn.functional.linear(x, up)), down)
            y.sum().backward()

        return step

    return compute.choose(
        wanted,
        device,
        f"training, rows {rows}, width {width}",
        {f: lambda f=f: prepare(f) for f in ("fp32", "bf16")},  # type: ignore[misc]
        flop=3 * 2 * rows * 8 * width * width,  # 3: forward, and backward twice
    )


def params_hash(config: FitConfig, data: FitData) -> str:
    """Identifies a run: two with the same hash learn the same from the same."""
    return files.hash_json([config, data.codec_id, data.data_id, data.prompt, len(data.train), len(data.val)])


class _Trainer:
    def __init__(
        self,
        config: FitConfig,
        data: FitData,
        out: Path,
        report: Report | None,
        evaluate: Evaluate | None,
        device: str | None,
        meta: dict[str, Any],
        tick: Callable[[int], None],
    ) -> None:
        _check_fit(config, data)
        self.config, self.data, self.out, self.report, self.evaluate = config, data, out, report, evaluate
        self.meta, self.tick = meta, tick
        self.device = compute.device(device or "auto")
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        torch.manual_seed(config.seed)
        self.model = DoseModel(config.model)
        if config.from_vectors:
            assert data.vectors is not None  # checked above
            self.model.adopt(torch.from_numpy(data.vectors), config.seed)
        self.model.to(self.device)
        self.optimiser = optim.adamw(self.model, config.lr, config.weight_decay)
        self.average = optim.EMA(self.model, config.ema) if config.ema else None
        self.params = params_hash(config, data)
        progress = state.load(out, self.params, self.model, self.optimiser, self.average)
        if progress is None and self.rank == 0:
            for name in (state.FOLDER, "best", "last"):
                shutil.rmtree(out / name, ignore_errors=True)
        self.progress = progress or state.Progress()
        self.compute = self._choose_format()
        if self.device.type == "cpu":
            compute.retain_freed_memory()
        self.mask = onset_mask(
            config.model.rows, config.model.codebooks, config.onset_region, config.model.pattern
        ).to(self.device)
        self.forward: Callable[..., Tensor] = self._wrapped()

    def _choose_format(self) -> compute.Choice:
        """The number format of the whole run: chosen at its first start, by its first process."""
        wanted = self.progress.precision or self.config.precision
        rows, width = self.config.batch * self.config.model.rows, self.config.model.width
        try:
            choice = choose_format(wanted, self.device, rows, width)  # type: ignore[arg-type]
        except ConfigError:  # it began on another kind of machine
            if wanted == self.config.precision:
                raise
            choice = choose_format(self.config.precision, self.device, rows, width)
        if self.world > 1:
            shared = [choice]
            dist.broadcast_object_list(shared, src=0)
            choice = shared[0]
        if self.progress.precision != choice.format:
            log.info("training in %s", choice.sentence)
        self.progress.precision = choice.format
        return choice

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.compute.format == "bf16")

    def _wrapped(self) -> nn.Module:
        model: nn.Module = _Loss(self.model, self.mask, self.config.onset_weight, self.config.compile)
        if self.world > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            unused = self.config.listen_steps > 0  # the rest of the model, until then
            model = nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=unused)
        return model

    def finish(self) -> FitResult:
        c = self.config
        if self.progress.step < c.steps and not self.progress.stopped:
            stream = batches(
                self.data.train,
                seed=c.seed,
                first=self.progress.step * c.accumulate,
                stop=c.steps * c.accumulate,
                size=c.batch,
                rank=self.rank,
                world=self.world,
            )
            with contextlib.closing(stream):
                self._train(stream)
        return self._result()

    def _train(self, stream: Generator[Batch, None, None]) -> None:
        since, loss, began = self.progress.step, torch.zeros(()), time.monotonic()
        while self.progress.step < self.config.steps and not self.progress.stopped:
            loss += self._step(stream)
            step = self.progress.step = self.progress.step + 1
            self.tick(step)
            if step % self.config.evaluate_every == 0 or step == self.config.steps:
                seconds = time.monotonic() - began
                pairs = (step - since) * self.config.batch * self.config.accumulate * self.world
                self._measure(
                    {"train/loss": float(loss) / (step - since), "train/pairs_per_s": pairs / seconds}
                )
                since, loss, began = step, torch.zeros(()), time.monotonic()

    def _step(self, stream: Generator[Batch, None, None]) -> Tensor:
        """One optimiser step; the mean total loss of this process."""
        c, step = self.config, self.progress.step
        self.model.train()
        torch.manual_seed((c.seed << 32) + step * self.world + self.rank)
        listening = step < c.listen_steps
        at, steps = (step, c.listen_steps) if listening else (step - c.listen_steps, c.steps - c.listen_steps)
        lr = optim.learning_rate(at, peak=c.lr, warmup=c.warmup, steps=steps, floor=c.lr_floor)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        total = torch.zeros((), device=self.device)
        for micro in range(c.accumulate):
            with self._sync_only_if(micro == c.accumulate - 1):
                part = (self._heard if listening else self._said)(next(stream)) / c.accumulate
                part.backward()
            total += part.detach()
        if c.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), c.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.model, step)
        return total.cpu()

    def _said(self, batch: Batch) -> Tensor:
        """The training loss of a batch."""
        prompt, rows, drum = self._inputs(batch)
        if self.config.prompt_dropout:
            dropped = torch.rand(len(prompt)) < self.config.prompt_dropout
            prompt = torch.where(dropped[:, None, None].to(self.device), -1, prompt)
        with self._autocast():
            loss, picture = self.forward(prompt, rows, drum)
        if picture is None or batch.picture is None or not self.config.picture_weight:
            return loss
        true = compress_power(batch.picture.to(self.device))
        return loss + self.config.picture_weight * spectrogram_loss(picture, true)

    def _heard(self, batch: Batch) -> Tensor:
        """The part of it that is the listener's, on equalised pairs."""
        assert batch.picture is not None  # pairs of levels have one
        drum = None if batch.drum is None else batch.drum.to(self.device)
        prompt, true = equalise_pairs(batch.prompt.to(self.device), batch.picture.to(self.device))
        with self._autocast():
            _, picture = self.forward(prompt, None, drum)
        return self.config.picture_weight * spectrogram_loss(picture, compress_power(true))

    def _sync_only_if(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        if self.world == 1 or last:
            return contextlib.nullcontext()
        return self.forward.no_sync()  # type: ignore[attr-defined]

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """A batch's prompts, its one-shots' token rows [B, S, K] and drums, on the device."""
        prompt = batch.prompt.to(self.device, non_blocking=True)
        rows = layout.one_shot_steps(batch.shot.to(self.device, non_blocking=True), self.config.model.pattern)
        return prompt, rows, None if batch.drum is None else batch.drum.to(self.device)

    def _measure(self, metrics: Metrics) -> None:
        """Validates, keeps what is best, writes the state, tells the caller."""
        step, p = self.progress.step, self.progress
        if self.average:
            self.average.swap(self.model)
        metrics |= self.validate()
        if self.evaluate is not None and self.rank == 0:
            metrics |= self.evaluate(self.model.eval(), step)
        better = p.best is None or metrics["val/loss"] < p.best
        if better:
            p.best, p.best_step = metrics["val/loss"], step
        p.history.append({"step": step, **metrics})
        waited = sum(1 for h in p.history if h["step"] > p.best_step)
        p.stopped = bool(self.config.patience) and waited >= self.config.patience
        if self.rank == 0:
            for name in ("best", "last") if better else ("last",):
                checkpoint.save(self.out / name, self.model, self._card(metrics))
        if self.average:
            self.average.swap(self.model)
        if self.rank == 0:
            state.save(self.out, self.params, p, self.model, self.optimiser, self.average)
            if self.report is not None:
                self.report(step, metrics)

    @torch.no_grad()
    def validate(self) -> Metrics:
        """Losses on the first validation pairs, with their own prompts and with each other's."""
        self.model.eval()
        n = min(self.config.evaluate_items, len(self.data.val))
        items = np.linspace(0, len(self.data.val), n, endpoint=False).astype(np.int64)
        true, picture = self._mean(self.data.val, items, items)
        other, _ = self._mean(self.data.val, items, np.roll(items, 1))
        metrics = {
            "val/loss": float(true.full),
            "val/onset_loss": float(true.onset),
            "val/shuffle_gap": float(other.full - true.full),
            "val/onset_shuffle_gap": float(other.onset - true.onset),
            "val/first_codebook_gap": float(other.per_codebook[0] - true.per_codebook[0]),
            "val/accuracy": float(true.accuracy.mean()),
        }
        if picture is not None:
            metrics["val/picture_loss"] = picture
        for k in range(self.config.model.codebooks):
            metrics[f"val/loss_codebook_{k}"] = float(true.per_codebook[k])
            metrics[f"val/accuracy_codebook_{k}"] = float(true.accuracy[k])
        return metrics

    def _mean(self, pairs: Pairs, items: np.ndarray, prompts: np.ndarray) -> tuple[Losses, float | None]:
        size = self.config.batch
        parts = [
            (len(items[i : i + size]), *self._losses(pairs.take(items[i : i + size], prompts[i : i + size])))
            for i in range(0, len(items), size)
        ]
        pictures = [n * float(seen) for n, _, seen in parts if seen is not None]
        means = {
            f.name: sum(n * getattr(part, f.name) for n, part, _ in parts) / len(items)
            for f in dataclasses.fields(Losses)
        }
        return Losses(**means), sum(pictures) / len(items) if pictures else None

    def _losses(self, batch: Batch) -> tuple[Losses, Tensor | None]:
        prompt, rows, drum = self._inputs(batch)
        with self._autocast():
            logits, picture = self.model.answer(prompt, rows[:, :-1], drum)
        found = losses(logits, rows, self.mask, self.config.onset_weight)
        if picture is None or batch.picture is None:
            return found, None
        return found, spectrogram_loss(picture, compress_power(batch.picture.to(self.device)))

    def _card(self, metrics: Metrics) -> dict[str, Any]:
        return {
            **self.meta,
            "codec_id": self.data.codec_id,
            "data_id": self.data.data_id,
            "prompt": self.data.prompt,
            "params": self.params,
            "steps": self.progress.step,
            "pairs_seen": self.progress.step * self.config.batch * self.config.accumulate * self.world,
            "fit": dataclasses.asdict(self.config),
            "compute": {
                "precision": self.compute.format,
                "chosen": self.compute.sentence,
                "device": compute.machine() if self.device.type == "cpu" else torch.cuda.get_device_name(),
            },
            "metrics": metrics,
        }

    def _result(self) -> FitResult:
        history = tuple(self.progress.history)
        best = next(h for h in history if h["step"] == self.progress.best_step)
        return FitResult(
            best=self.out / "best",
            last=self.out / "last",
            steps=self.progress.step,
            metrics=best,
            history=history,
        )


class _Loss(nn.Module):
    """A model whose call gives its training loss and the listener's picture: what DDP wraps."""

    def __init__(self, model: DoseModel, mask: Tensor, onset_weight: float, compiled: bool) -> None:
        super().__init__()
        self.model, self.mask, self.onset_weight = model, mask, onset_weight
        self.hidden = torch.compile(model.hidden) if compiled else model.hidden

    def forward(
        self, prompt: Tensor, rows: Tensor | None, drum: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Without token rows [B, S, K] the picture alone."""
        if rows is None:
            return None, self.model.read_prompt(prompt, drum).picture
        hidden, picture = self.hidden(prompt, rows[:, :-1], drum)
        return training_loss(hidden, self.model.head, rows, self.mask, self.onset_weight), picture


def _check_fit(config: FitConfig, data: FitData) -> None:
    m = config.model
    if data.train.frames != m.frames:
        raise ValueError(f"the one-shots have {data.train.frames} frames, the model {m.frames}")
    excerpts = 1 if config.prompt == "mix" else data.prompt.get("hits", 1)
    if m.excerpts != excerpts:
        raise ValueError(f"the prompts have {excerpts} excerpts, the model expects {m.excerpts}")
    if data.prompt.get("kind", config.prompt) != config.prompt:
        raise ValueError(f"the data's prompts are '{data.prompt['kind']}', the run wants '{config.prompt}'")
    drums = len(data.train.prompts)
    if drums != max(1, len(m.drums)):
        raise ValueError(f"the data hold {drums} drums, the model {max(1, len(m.drums))}")
    if config.from_vectors and data.vectors is None:
        raise ValueError("from_vectors needs tokens with vectors.npy, which this codec does not give")
    if len(data.val) < 2:
        raise ValueError("at least two validation pairs are needed to see whether the model listens")
