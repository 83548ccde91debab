"""What a run needs to go on exactly where it was: one folder, tensors and readable JSON, no pickle."""

import dataclasses
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from dose import files
from dose.train import optim

FOLDER = "state"


@dataclasses.dataclass(kw_only=True)
class Progress:
    """Everything beside tensors."""

    step: int = 0
    best: float | None = None  # lowest validation loss so far
    best_step: int = 0
    stopped: bool = False  # ended early, for want of progress
    precision: str = ""  # the number format that the run began with and keeps; "": not begun
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


def save(
    out: Path,
    params: str,
    progress: Progress,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    average: optim.EMA | None,
) -> None:
    tensors = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
    tensors |= {f"optimiser.{n}": t for n, t in optim.pack(optimiser).items()}
    if average is not None:
        tensors |= {f"average.{n}": t for n, t in average.weights.items()}
    with files.atomic(out / FOLDER) as beside:
        beside.mkdir()
        safetensors.torch.save_file(
            {n: t.cpu().contiguous() for n, t in tensors.items()}, beside / "state.safetensors"
        )
        files.write_json(beside / "state.json", {"params": params, **dataclasses.asdict(progress)})


def load(
    out: Path,
    params: str,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    average: optim.EMA | None,
) -> Progress | None:
    """Restores a run of the same params in place and says how far it was; None when there is none such."""
    card = read(out)
    if card is None or card.pop("params") != params:
        return None
    device = next(model.parameters()).device
    tensors = safetensors.torch.load_file(out / FOLDER / "state.safetensors", device=str(device))
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}, "average": {}}
    for name, t in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = t
    model.load_state_dict(parts["model"])
    optim.unpack(optimiser, parts["optimiser"])
    if average is not None:
        average.weights = parts["average"]
    return Progress(**card)


def read(out: Path) -> dict[str, Any] | None:
    """state.json of a run, None when it is not there."""
    path = out / FOLDER / "state.json"
    return files.read_json(path) if path.is_file() else None
