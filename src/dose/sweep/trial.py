"""One trial, as it runs in a worker process on this machine or another."""

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dose import cluster, files
from dose.sweep.config import EXAMPLES, SweepConfig

if TYPE_CHECKING:
    from dose.train.config import FitConfig
    from dose.train.data import FitData

Report = Callable[[int, dict[str, float]], None]
# (hyperparameters, folder that may hold an earlier state, report): trains, reports after each evaluation,
# leaves its best model in folder/best.
Train = Callable[[dict[str, Any], Path, Report], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumTask:
    """Trains one drum's model with given hyperparameters; holds everything a worker needs."""

    config: SweepConfig
    drum: str
    tokens: Path  # absolute, on storage that every machine reads
    codec: Path
    init: Path | None  # a checkpoint whose weights to start from
    meta: dict[str, Any]  # goes into the checkpoints

    def __call__(self, hyper: dict[str, Any], out: Path, report: Report) -> None:
        import torch
        import torch.distributed as dist

        from dose.sweep.progress import step_writer
        from dose.sweep.validation import GenerationValidator
        from dose.train.data import open_data
        from dose.train.trainer import fit

        torch.set_num_threads(max(1, int(self.config.resources.cpus)))
        rank = dist.get_rank() if dist.is_initialized() else 0
        config = self.config.fit_for(hyper)
        data = open_data(self.tokens, self.drum, config.prompt)
        validator = None
        if rank == 0:
            self._prepare(hyper, out, config, data)
            items, examples = self.config.generation_items, self.config.generation_examples
            validator = GenerationValidator(data, self.codec, out, items=items, examples=examples)
        if dist.is_initialized():
            dist.barrier()  # the other ranks read what rank 0 prepared
        device = f"cuda:{rank}" if torch.cuda.is_available() else "cpu"
        meta = {**self.meta, "drum": self.drum, "hyper": hyper}
        fit(config, data, out, report, validator, device=device, meta=meta, on_step=step_writer())

    def _prepare(self, hyper: dict[str, Any], out: Path, config: "FitConfig", data: "FitData") -> None:
        files.write_json(out / "config.json", {"hyper": hyper, "fit": config})
        if self.config.scheduler == "pbt":
            _accept_copied_state(out, config, data)
        if self.init is not None:
            _warm_start(out, config, data, self.init)


def _accept_copied_state(out: Path, config: "FitConfig", data: "FitData") -> None:
    """Marks a state that PBT copied from another trial as one of this trial's params."""
    from dose.train import state
    from dose.train.trainer import params_hash

    card = state.read(out)
    if card is not None:
        files.write_json(out / state.FOLDER / "state.json", {**card, "params": params_hash(config, data)})


def _warm_start(out: Path, config: "FitConfig", data: "FitData", init: Path) -> None:
    """Writes a state at step 0 with the weights of `init`; not where there is a state or the sizes differ."""
    from dose.model import checkpoint
    from dose.train import optim, state
    from dose.train.trainer import params_hash

    if state.read(out) is not None:
        return
    # Everything but the dropout must be equal, and the codes must mean the same.
    card = checkpoint.read_card(init)
    sizes = {**dataclasses.asdict(config.model), "dropout": None}
    if files.hash_json({**card["config"], "dropout": None}) != files.hash_json(sizes):
        return
    if card["meta"].get("codec_id") != data.codec_id:
        return
    # Optimiser and EMA start anew, around the loaded weights.
    model = checkpoint.load(init).model
    ema = optim.EMA(model, config.ema) if config.ema else None
    optimiser = optim.adamw(model, config.lr, config.weight_decay)
    state.save(out, params_hash(config, data), state.Progress(), model, optimiser, ema)


def run_trial(hyper: dict[str, Any], *, train: Train, source: Path, start: Any = None) -> None:
    """Ray Tune's function trainable; `source` is the folder from which the driver has `dose`.

    Everything the trial needs to resume lies in one folder, which is copied to shared storage with every
    report and from there after a crash, on whichever machine. `start` is a checkpoint to begin from.
    """
    from ray import tune

    cluster.check_source(source)
    out = Path.cwd() / "trial"
    shutil.rmtree(out, ignore_errors=True)  # an earlier attempt may have left half a state
    if (checkpoint := tune.get_checkpoint() or start) is not None:
        checkpoint.to_directory(str(out))
    out.mkdir(parents=True, exist_ok=True)

    def report(step: int, metrics: dict[str, float]) -> None:
        # The state is on disk already; with the report Tune copies the folder to the storage.
        row = {"step": step, **metrics, **_system_metrics()}
        tune.report(row, checkpoint=tune.Checkpoint.from_directory(str(out)))
        shutil.rmtree(out / EXAMPLES, ignore_errors=True)  # the driver has copied them

    train(hyper, out, report)


def _system_metrics() -> dict[str, float]:
    """Load of this process and machine, under the names of MLflow's system metrics."""
    import psutil
    import torch

    mib = 2**20
    row = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": psutil.virtual_memory().used / mib,
        "system/process_memory_usage_megabytes": psutil.Process().memory_info().rss / mib,
    }
    for i in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(i)
        row[f"system/gpu_{i}_memory_usage_megabytes"] = (total - free) / mib
        with contextlib.suppress(Exception):  # needs the vendor's library, which may be absent
            row[f"system/gpu_{i}_utilization_percentage"] = float(torch.cuda.utilization(i))
    return row
