"""The state from which a run resumes exactly: one folder with tensors and readable JSON, no pickle."""

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
    """Everything but the tensors."""

    step: int = 0
    best: float | None = None  # lowest validation loss so far
    best_step: int = 0
    stopped: bool = False  # ended early (`FitConfig.patience`)
    precision: str = ""  # number format of the whole run; "" before its first start
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)


def save(
    out: Path,
    params: str,
    progress: Progress,
    model: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    ema: optim.EMA | None,
) -> None:
    tensors = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
    tensors |= {f"optimiser.{n}": t for n, t in optim.pack(optimiser).items()}
    if ema is not None:
        tensors |= {f"ema.{n}": t for n, t in ema.weights.items()}
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
    ema: optim.EMA | None,
) -> Progress | None:
    """Restores a run of the same params in place; None when `out` holds none."""
    card = read(out)
    if card is None or card.pop("params") != params:
        return None
    device = next(model.parameters()).device
    tensors = safetensors.torch.load_file(out / FOLDER / "state.safetensors", device=str(device))
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}, "ema": {}}
    for name, t in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = t
    model.load_state_dict(parts["model"])
    optim.unpack(optimiser, parts["optimiser"])
    if ema is not None:
        ema.weights = parts["ema"]
    return Progress(**card)


def read(out: Path) -> dict[str, Any] | None:
    """state.json of a run, None when there is none."""
    path = out / FOLDER / "state.json"
    if not path.is_file():
        return None
    card: dict[str, Any] = files.read_json(path)
    return card
