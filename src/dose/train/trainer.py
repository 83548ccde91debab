"""One training run, from token shards to checkpoints; a run that was killed resumes where it was.

Everything random is a function of (seed, step): the order of the pairs, dropout, EQ augmentation. On a CPU a
resumed run therefore repeats, bit for bit, what the uninterrupted one would have computed. With
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

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dose import compute, files
from dose.errors import ConfigError
from dose.model import checkpoint
from dose.model.transformer import DoseModel
from dose.train import optim, state
from dose.train.config import FitConfig
from dose.train.data import Batch, FitData, batches, check_fit
from dose.train.number_format import choose_format
from dose.train.step import BatchLoss

log = logging.getLogger(__name__)

Metrics = dict[str, float]
Report = Callable[[int, Metrics], None]
Evaluate = Callable[[DoseModel, int], Metrics]


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
    on_step: Callable[[int], None] | None = None,
) -> FitResult:
    """Trains to `config.steps`, resuming from `out` if it holds a run of the same params and data.

    `report(step, metrics)` is called after each evaluation, when the state is on disk. `evaluate(model,
    step)` adds the caller's own validation metrics, `on_step(step)` is called after every step. `meta` goes
    into the checkpoints. What a run of other params left in `out` is removed first. Raises ValueError when
    the model and the data do not fit together.
    """
    with torch.random.fork_rng(devices=[]):
        run = _Trainer(
            config, data, Path(out), report, evaluate, device, meta or {}, on_step or (lambda step: None)
        )
        return run.finish()


def params_hash(config: FitConfig, data: FitData) -> str:
    """Identifies a run: two with the same hash train the same model on the same data."""
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
        on_step: Callable[[int], None],
    ) -> None:
        check_fit(config, data)
        self.config, self.data, self.out, self.report, self.evaluate = config, data, out, report, evaluate
        self.meta, self.on_step = meta, on_step
        self.device = compute.device(device or "auto")
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        # 1. The model at its start, from the seed alone.
        torch.manual_seed(config.seed)
        self.model = DoseModel(config.model)
        if config.codebook_init:
            assert data.codebooks is not None  # checked above
            self.model.initialise_from_codebooks(torch.from_numpy(data.codebooks), config.seed)
        self.model.to(self.device)
        self.optimiser = optim.adamw(self.model, config.lr, config.weight_decay)
        self.ema = optim.EMA(self.model, config.ema) if config.ema else None
        # 2. The state of an earlier start of the same run; what another run left goes.
        self.params = params_hash(config, data)
        progress = state.load(out, self.params, self.model, self.optimiser, self.ema)
        if progress is None and self.rank == 0:
            for name in (state.FOLDER, "best", "last"):
                shutil.rmtree(out / name, ignore_errors=True)
        self.progress = progress or state.Progress()
        # 3. The number format, and the module whose backward pass synchronises processes.
        self.compute = self._choose_format()
        if self.device.type == "cpu":
            compute.retain_freed_memory()
        self.batch_loss = BatchLoss(config, self.model, self.compute.format)
        self.forward: Callable[..., Any] = self._distributed(self.batch_loss.module())

    def _choose_format(self) -> compute.Choice:
        """The number format of the whole run: chosen at its first start, by its first process."""
        wanted = self.progress.precision or self.config.precision
        steps, width = self.config.batch * self.config.model.steps, self.config.model.width
        try:
            choice = choose_format(wanted, self.device, steps, width)  # type: ignore[arg-type]
        except ConfigError:  # the run began on another kind of machine
            if wanted == self.config.precision:
                raise
            choice = choose_format(self.config.precision, self.device, steps, width)
        if self.world > 1:
            shared = [choice]
            dist.broadcast_object_list(shared, src=0)
            choice = shared[0]
        if self.progress.precision != choice.format:
            log.info("training in %s", choice.sentence)
        self.progress.precision = choice.format
        return choice

    def _distributed(self, module: nn.Module) -> nn.Module:
        if self.world == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        # During pre-training of the encoder, the rest of the model gets no gradient.
        unused = self.config.encoder_steps > 0
        return nn.parallel.DistributedDataParallel(module, device_ids=ids, find_unused_parameters=unused)

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
        since, loss, began = self.progress.step, torch.zeros(3), time.monotonic()
        while self.progress.step < self.config.steps and not self.progress.stopped:
            loss += self._step(stream)
            step = self.progress.step = self.progress.step + 1
            self.on_step(step)
            if step % self.config.evaluate_every == 0 or step == self.config.steps:
                seconds = time.monotonic() - began
                pairs = (step - since) * self.config.batch * self.config.accumulate * self.world
                means = self._mean_losses(loss, since)
                self._evaluate({**means, "train/pairs_per_s": pairs / seconds})
                since, loss, began = step, torch.zeros(3), time.monotonic()

    def _mean_losses(self, summed: Tensor, since: int) -> Metrics:
        """Means over the steps after `since`; full and onset loss, which pre-training lacks, over the others.

        The total contains the onset loss with its weight: across weights only its parts can be compared.
        """
        total, full, onset = map(float, summed)
        means = {"train/loss": total / (self.progress.step - since)}
        steps = self.progress.step - max(since, self.config.encoder_steps)
        return means | (
            {"train/full_loss": full / steps, "train/onset_loss": onset / steps} if steps > 0 else {}
        )

    def _step(self, stream: Generator[Batch, None, None]) -> Tensor:
        """One optimiser step; this process's mean losses [3]: total, full, onset."""
        c, step = self.config, self.progress.step
        self.model.train()
        # 1. Dropout and augmentation of this step and process, whatever ran before.
        torch.manual_seed((c.seed << 32) + step * self.world + self.rank)
        # 2. The phase, each with a learning-rate schedule of its own.
        pretraining = step < c.encoder_steps
        loss_of = self.batch_loss.encoder_loss if pretraining else self.batch_loss.lm_loss
        first, steps = (0, c.encoder_steps) if pretraining else (c.encoder_steps, c.steps - c.encoder_steps)
        lr = optim.learning_rate(step - first, peak=c.lr, warmup=c.warmup, steps=steps, floor=c.lr_floor)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        # 3. Gradients, accumulated over micro-steps and synchronised with the last of them.
        summed = torch.zeros(3, device=self.device)
        for micro in range(c.accumulate):
            with self._sync_only_if(micro == c.accumulate - 1):
                losses = loss_of(self.forward, next(stream))
                (losses.total / c.accumulate).backward()  # type: ignore[no-untyped-call]
            summed += torch.stack([loss.detach() for loss in losses]) / c.accumulate
        # 4. The update, and the averaged weights'.
        if c.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), c.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.update(self.model, step)
        return summed.cpu()

    def _sync_only_if(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        if self.world == 1 or last:
            return contextlib.nullcontext()
        context: contextlib.AbstractContextManager[Any] = self.forward.no_sync()  # type: ignore[attr-defined]
        return context

    def _evaluate(self, metrics: Metrics) -> None:
        """Validates, stores the checkpoints and the state, and reports."""
        step, p = self.progress.step, self.progress
        # 1. Validate the averaged weights.
        if self.ema:
            self.ema.swap(self.model)
        metrics |= self.batch_loss.validate(self.data.val)
        if self.evaluate is not None and self.rank == 0:
            metrics |= self.evaluate(self.model.eval(), step)
        # 2. Is it the best so far, and should the run stop early?
        better = p.best is None or metrics["val/loss"] < p.best
        if better:
            p.best, p.best_step = metrics["val/loss"], step
        p.history.append({"step": step, **metrics})
        without_progress = sum(1 for h in p.history if h["step"] > p.best_step)
        p.stopped = bool(self.config.patience) and without_progress >= self.config.patience
        # 3. Checkpoints hold the averaged weights, the state both; the report comes when all is on disk.
        if self.rank == 0:
            for name in ("best", "last") if better else ("last",):
                checkpoint.save(self.out / name, self.model, self._meta(metrics))
        if self.ema:
            self.ema.swap(self.model)
        if self.rank == 0:
            state.save(self.out, self.params, p, self.model, self.optimiser, self.ema)
            if self.report is not None:
                self.report(step, metrics)

    def _meta(self, metrics: Metrics) -> dict[str, Any]:
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
