"""Probe of the trainer: tiny seeded runs, each with its losses after every step and its last weights."""

from typing import Any

from .adapter import Tree
from .data import tokens_folder
from .values import Values, exact, tensors

COMMON = {
    "fit.layers": 2,
    "fit.width": 32,
    "fit.heads": 2,
    "fit.steps": 6,
    "fit.batch": 3,
    "fit.accumulate": 2,
    "fit.warmup": 1,
    "fit.ema": 0.9,
    "fit.onset_weight": 1.0,
    "fit.evaluate_every": 1,
    "fit.evaluate_items": 3,
}


def training(tree: Tree) -> Values:
    """Runs of the default model, conditioned on band levels, with its encoder trained first; and of a model
    conditioned on codes. The full probe adds the paper's model and one that two drums share."""
    runs: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
        "levels": (("kick",), "levels", {"fit.pretraining_steps": 2 if tree.quick else 3}),
        "codes": (("snare",), "hits", _codes(tree, "also") | {"fit.prompt_dropout": 0.2}),
    }
    if not tree.quick:
        paper = _codes(tree, "no") | {
            "fit.excerpts": 1,
            "fit.positions": tree.name("value.positions.none"),
            "fit.structure": tree.name("value.structure.free"),
        }
        runs["paper"] = (("hihat",), "mix", paper | {"fit.steps": 3})
        runs["shared"] = (("kick", "snare"), "levels", {"fit.drums": ["kick", "snare"], "fit.steps": 3})
    found: Values = {}
    for label, (drums, kind, changes) in runs.items():
        made = _trained(tree, label, drums, kind, changes)
        found |= {f"{label}/{name}": value for name, value in made.items()}
    return found


def _codes(tree: Tree, aligned: str) -> dict[str, Any]:
    return {
        "fit.aligned": tree.name(f"value.aligned.{aligned}"),
        "fit.spectrogram_weight": 0.0,
        "fit.pretraining_steps": 0,
    }


def _trained(tree: Tree, label: str, drums: tuple[str, ...], kind: str, changes: dict[str, Any]) -> Values:
    prompt = tree.name(f"value.prompt.{kind}")
    settings = {
        **COMMON,
        "fit.prompt": prompt,
        "fit.precision": tree.name("value.precision.fp32"),
        "fit.onset_region": tree.name("value.region.paper"),
        **({"fit.steps": 4} if tree.quick else {}),
        **changes,
    }
    config = tree.config("FitConfig", "fit", settings)
    data = tree.get("open_data")(tokens_folder(tree), drums, prompt)
    out = tree.scratch / "fit" / label
    result = tree.get("fit")(config, data, out, **tree.kwargs("fit", device="cpu"))
    history = tree.attr(result, "result.history")
    if len(history) != settings["fit.steps"]:
        raise AssertionError(f"The history has {len(history)} steps and not {settings['fit.steps']}.")
    found = {
        f"step {number}/{tree.logical('metric', name)}": exact(value)
        for number, entry in enumerate(history, start=1)
        for name, value in entry.items()
        if name != tree.name("metric.speed")
    }
    return {**found, "last weights": tensors(tree.attr(result, "result.last")), "all weights": tensors(out)}
