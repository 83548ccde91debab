"""A model on disk: weights.safetensors beside a model.json that a person can read.

model.json holds `config` (every field of ModelConfig), `weights` (file, SHA-256, number format) and `meta`
(codec_id, data_id, drum, prompt, metrics, steps, whatever the writer knows). Unknown or missing keys and
tensors are errors.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch

from dose import config as strict
from dose import files
from dose.errors import ConfigError, IntegrityError, MissingInputError
from dose.model.transformer import DoseModel, ModelConfig

WEIGHTS, CARD = "weights.safetensors", "model.json"
Format = Literal["fp32", "bf16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded model (fp32, in eval mode) and what is known about it."""

    model: DoseModel
    meta: dict[str, Any]


def save(folder: Path | str, model: DoseModel, meta: dict[str, Any], number_format: Format = "fp32") -> None:
    """Writes the folder whole or not at all. bf16 halves the file and rounds the weights to 8 bits."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[number_format]
    state = {name: p.detach().to("cpu", dtype).contiguous() for name, p in model.state_dict().items()}
    with files.atomic(folder) as beside:
        beside.mkdir()
        safetensors.torch.save_file(state, beside / WEIGHTS)
        files.write_json(
            beside / CARD,
            {
                "config": dataclasses.asdict(model.config),
                "weights": {"sha256": files.sha256(beside / WEIGHTS), "format": number_format},
                "meta": meta,
            },
        )


def load(folder: Path | str, device: str = "cpu") -> Checkpoint:
    """Raises MissingInputError, IntegrityError or ConfigError naming the file that does not fit."""
    folder = Path(folder)
    card = read_card(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; fetch or make the model again.")
    if files.sha256(path) != card["weights"]["sha256"]:
        raise IntegrityError(f"{path} is not the file that {CARD} was written for; fetch or make it again.")
    model = DoseModel(read_config(folder))
    state = safetensors.torch.load_file(path)
    _check_names(model, state, path)
    try:
        model.load_state_dict({name: p.float() for name, p in state.items()})
    except RuntimeError as e:
        raise IntegrityError(f"{path} does not fit the sizes in {CARD}.") from e
    return Checkpoint(model=model.eval().to(device), meta=card["meta"])


def read_card(folder: Path | str) -> dict[str, Any]:
    """model.json alone, its top keys checked: what a model is, without loading its weights."""
    path = Path(folder) / CARD
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; {Path(folder)} is not a model folder.")
    card = files.read_json(path)
    if not isinstance(card, dict) or set(card) != {"config", "weights", "meta"}:
        raise ConfigError(f"{path} must hold exactly config, weights and meta.")
    if set(card["weights"]) != {"sha256", "format"}:
        raise ConfigError(f"{path}: weights must hold exactly sha256 and format.")
    return card


def read_config(folder: Path | str) -> ModelConfig:
    """A model's sizes and switches, without loading its weights. Raises as `load` does."""
    return strict.parse(ModelConfig, read_card(folder)["config"], f"{Path(folder) / CARD}: config")


def _check_names(model: DoseModel, state: dict[str, torch.Tensor], path: Path) -> None:
    wanted = set(model.state_dict())
    if missing := sorted(wanted - set(state)):
        raise IntegrityError(f"{path} lacks {missing[0]} ({len(missing)} missing in all).")
    if extra := sorted(set(state) - wanted):
        raise IntegrityError(f"{path} holds {extra[0]}, which the model does not have.")
