"""The authors' released checkpoints (Lightning .ckpt) as a `DoseModel`.

The only module of this package that opens a pickle, and only as tensors (`weights_only=True`). Every name in
the file is either used or known to be unused; anything else is an error, so that a checkpoint of another
shape cannot be half read. Sizes come from the tensors' shapes.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dose.errors import IntegrityError, MissingInputError
from dose.model.config import ModelConfig
from dose.model.transformer import DoseModel

PREFIX = "inst_decoder."
HEAD_SIZE = 64  # not in any shape: 1024 / 16, and the release's cuts divide both alike
FRAMES = 173  # of the one-shots that the authors train on, 2 s
UNUSED = re.compile(
    r"positional_encoder\.pe|midi_embedding_layer\.weight|dac_projection_layer\.(weight|bias)|blocks\.\d+\.attn\.mask"
)
BLOCK = re.compile(r"blocks\.(\d+)\.")


def import_official(path: Path | str) -> DoseModel:
    """Reads an authors' checkpoint: a model that decodes as theirs does (unconstrained decoding).

    Raises MissingInputError when the file is absent and IntegrityError when it is not such a checkpoint.
    """
    path = Path(path)
    state = {name: t for name, t in _read(path).items() if not UNUSED.fullmatch(name)}
    config = _sizes(state, path)
    renamed = _renamed(state, config, path)
    if state:
        raise IntegrityError(f"{path} holds {min(state)}, which the authors' models do not have.")
    model = DoseModel(config)
    wanted = {name: p.shape for name, p in model.named_parameters()}
    for name, shape in wanted.items():
        if renamed[name].shape != shape:
            found = list(renamed[name].shape)
            raise IntegrityError(f"{path}: {name} has the shape {found}, but {list(shape)} is needed.")
    model.load_state_dict(renamed)
    return model.eval()


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise MissingInputError(f"{path} does not exist; name the .ckpt file of an authors' release.")
    try:
        whole: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as e:
        raise IntegrityError(
            f"{path} cannot be read as tensors only; it is damaged or holds code, which is not run."
        ) from e
    state = whole.get("state_dict") if isinstance(whole, dict) else None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise IntegrityError(f"{path} has no 'state_dict' of tensors; it is not a Lightning checkpoint.")
    for name in state:
        if not name.startswith(PREFIX):
            raise IntegrityError(f"{path} holds {name}, which the authors' models do not have.")
    return {name.removeprefix(PREFIX): t.float() for name, t in state.items()}


def _sizes(state: dict[str, Tensor], path: Path) -> ModelConfig:
    tables = [name for name in state if name.startswith("audio_embedding_layer.")]
    if not tables:
        raise IntegrityError(f"{path} lacks {PREFIX}audio_embedding_layer.0.weight.")
    vocabulary, width = state[tables[0]].shape
    blocks = {int(m.group(1)) for name in state if (m := BLOCK.match(name))}
    if blocks != set(range(len(blocks))) or not blocks:
        raise IntegrityError(f"{path} holds the blocks {sorted(blocks)}, which is not 0, 1, 2 and so on.")
    if width % HEAD_SIZE:
        raise IntegrityError(f"{path} is {width} wide, which does not divide into heads of {HEAD_SIZE}.")
    return ModelConfig(
        layers=len(blocks),
        width=width,
        heads=width // HEAD_SIZE,
        codebooks=len(tables),
        codebook_size=vocabulary - 1,
        frames=FRAMES,
        decoding="unconstrained",
    )


def _renamed(state: dict[str, Tensor], config: ModelConfig, path: Path) -> dict[str, Tensor]:
    """Tensors under the names of `DoseModel`; those used are removed from `state`."""

    def pop(name: str) -> Tensor:
        if name not in state:
            raise IntegrityError(f"{path} lacks {PREFIX}{name}.")
        return state.pop(name)

    out = {
        "embed.weight": torch.cat([pop(f"audio_embedding_layer.{k}.weight") for k in range(config.codebooks)])
    }
    for kind in ("weight", "bias"):
        out |= {f"ln.{kind}": pop(f"ln.{kind}"), f"head.{kind}": pop(f"fc.{kind}")}
        for n in range(config.layers):
            block = f"blocks.{n}."
            parts = [pop(f"{block}attn.{part}.{kind}") for part in ("query", "key", "value")]
            out[f"{block}qkv.{kind}"] = torch.cat(parts)
            for ours, theirs in (
                ("proj", "attn.proj"),
                ("up", "ff.0"),
                ("down", "ff.2"),
                ("ln1", "ln1"),
                ("ln2", "ln2"),
            ):
                out[f"{block}{ours}.{kind}"] = pop(f"{block}{theirs}.{kind}")
    return out
