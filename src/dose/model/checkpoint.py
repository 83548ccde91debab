"""A model on disk: weights.safetensors beside a model.json that a person can read.

model.json holds `format` (of the names in both files), `config` (every field of ModelConfig), `weights`
(SHA-256 and number format) and `meta` (codec_id, data_id, drum, prompt, metrics, steps, whatever the writer
knows). Unknown or missing keys and tensors are errors. Format 1, which has no `format`, is read too.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch

from dose import config as strict
from dose import files
from dose.errors import ConfigError, IntegrityError, MissingInputError
from dose.model.compat import format1
from dose.model.config import ModelConfig
from dose.model.transformer import DoseModel

WEIGHTS, CARD = "weights.safetensors", "model.json"
FORMAT = 2
NumberFormat = Literal["fp32", "bf16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded model (fp32, in eval mode) and what is known about it."""

    model: DoseModel
    meta: dict[str, Any]


def save(
    folder: Path | str, model: DoseModel, meta: dict[str, Any], number_format: NumberFormat = "fp32"
) -> None:
    """Writes the folder whole or not at all. bf16 halves the file and rounds the weights to 8 bits."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[number_format]
    state = {name: p.detach().to("cpu", dtype).contiguous() for name, p in model.state_dict().items()}
    with files.atomic(folder) as beside:
        beside.mkdir()
        safetensors.torch.save_file(state, beside / WEIGHTS)
        files.write_json(
            beside / CARD,
            {
                "format": FORMAT,
                "config": dataclasses.asdict(model.config),
                "weights": {"sha256": files.sha256(beside / WEIGHTS), "format": number_format},
                "meta": meta,
            },
        )


def load(folder: Path | str, device: str = "cpu") -> Checkpoint:
    """Raises MissingInputError, IntegrityError or ConfigError naming the file that does not fit."""
    folder = Path(folder)
    card = _read(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; fetch or make the model again.")
    if files.sha256(path) != card["weights"]["sha256"]:
        raise IntegrityError(f"{path} is not the file that {CARD} was written for; fetch or make it again.")
    state = safetensors.torch.load_file(path)
    if card["format"] == 1:
        state = format1.current_tensors(state)
    model = DoseModel(_config(folder, card))
    _check_names(model, state, path)
    try:
        model.load_state_dict({name: p.float() for name, p in state.items()})
    except RuntimeError as e:
        raise IntegrityError(f"{path} does not fit the sizes in {CARD}.") from e
    return Checkpoint(model=model.eval().to(device), meta=card["meta"])


def read_card(folder: Path | str) -> dict[str, Any]:
    """model.json alone, in today's format, its top keys checked: what a model is, without its weights."""
    return {**_read(folder), "format": FORMAT}


def read_config(folder: Path | str) -> ModelConfig:
    """A model's sizes and switches, without loading its weights. Raises as `load` does."""
    return _config(folder, _read(folder))


def _read(folder: Path | str) -> dict[str, Any]:
    """model.json under today's names; its `format` is that of the file."""
    path = Path(folder) / CARD
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; {Path(folder)} is not a model folder.")
    card = files.read_json(path)
    if not isinstance(card, dict) or set(card) - {"format"} != {"config", "weights", "meta"}:
        raise ConfigError(f"{path} must hold exactly format, config, weights and meta.")
    card = {"format": 1, **card}
    if card["format"] not in (1, FORMAT):
        raise ConfigError(f"{path} is of format {card['format']!r}; this version reads 1 to {FORMAT}.")
    if set(card["weights"]) != {"sha256", "format"}:
        raise ConfigError(f"{path}: weights must hold exactly sha256 and format.")
    return format1.current_card(card, str(path)) if card["format"] == 1 else card


def _config(folder: Path | str, card: dict[str, Any]) -> ModelConfig:
    return strict.parse(ModelConfig, card["config"], f"{Path(folder) / CARD}: config")


def _check_names(model: DoseModel, state: dict[str, torch.Tensor], path: Path) -> None:
    wanted = set(model.state_dict())
    if missing := sorted(wanted - set(state)):
        raise IntegrityError(f"{path} lacks {missing[0]} ({len(missing)} missing in all).")
    if extra := sorted(set(state) - wanted):
        raise IntegrityError(f"{path} holds {extra[0]}, which the model does not have.")
