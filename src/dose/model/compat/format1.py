"""Checkpoints of format 1, whose model.json has no `format`: their names in today's words.

The shipped models are of this format. Weights and sizes are the same; only keys, values and tensors were
renamed.
"""

import dataclasses
from typing import Any

from torch import Tensor

from dose import config as strict
from dose.model.config import ModelConfig
from dose.tokens.shards import OLD_PROMPT_KINDS

# Beginning of a tensor's name in format 1 -> today's. The first that fits counts.
TENSORS = {
    "segment": "prefix_embedding",
    "aligned.cells.": "aligned_encoder.step_projection.",
    "aligned.frames.": "aligned_encoder.frame_conv.",
    "aligned.out.": "aligned_encoder.frame_projection.",
    "aligned.whole.": "aligned_encoder.summary.",
    "aligned.": "aligned_encoder.",
    "listener.first.": "condition_encoder.input_conv.",
    "listener.others.": "condition_encoder.cross_segment.",
    "listener.each.": "condition_encoder.segment_blocks.",
    "listener.score.": "condition_encoder.segment_score.",
    "listener.whole.": "condition_encoder.summary.",
    "listener.time": "condition_encoder.time_embedding",
    "listener.together.": "condition_encoder.fusion_blocks.",
    "listener.look.": "condition_encoder.spectrogram_head.",
    "listener.": "condition_encoder.",
}


def current_card(card: dict[str, Any], where: str) -> dict[str, Any]:
    """A format 1 model.json under today's names; raises ConfigError for a config that does not fit."""
    config = strict.parse(ModelConfig, card["config"], f"{where}: config", announce=False)
    meta = dict(card["meta"])
    if isinstance(prompt := meta.get("prompt"), dict) and "kind" in prompt:
        meta["prompt"] = {**prompt, "kind": OLD_PROMPT_KINDS.get(prompt["kind"], prompt["kind"])}
    return {**card, "config": dataclasses.asdict(config), "meta": meta}


def current_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a format 1 file under today's names."""
    return {_current_name(name): tensor for name, tensor in state.items()}


def _current_name(name: str) -> str:
    for old, new in TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
