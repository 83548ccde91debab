"""Probes of single parts on fixed inputs: codec, metrics, gate, confidence, decoding."""

import dataclasses

import numpy as np
import torch

from . import inputs
from .adapter import DRUMS, Tree
from .values import Values, array, exact


def codec(tree: Tree) -> Values:
    """Codes, decoded sound and embeddings of the shipped codec."""
    shipped = tree.get("shipped_codec")()
    found: Values = {}
    sounds = {"shots": inputs.shots(3, 1), "mix": inputs.mix(1)[None], "loop": _loop(tree)[None]}
    for label, sound in sounds.items():
        audio = torch.from_numpy(sound)[:, None]
        codes = tree.attr(shipped, "codec.encode")(audio)
        found[f"{label}/codes"] = array(codes)
        found[f"{label}/decoded"] = array(tree.attr(shipped, "codec.decode")(codes))
        found[f"{label}/embedding"] = array(tree.attr(shipped, "codec.embed")(audio))
    return found


def metrics(tree: Tree) -> Values:
    """Every metric of one-shots and of sets of embeddings, and the bootstrap."""
    one, other = inputs.shots(6, 2), inputs.shots(6, 3)
    pairs = ("mss", "log_spectral_distance", "envelope_distance", "attack_error")
    found = {name: exact(tree.get(name)(one, other)) for name in pairs}
    found |= {f"mss_both/{i}": exact(v) for i, v in enumerate(tree.get("mss_both")(one, other).values())}
    x, y = inputs.embeddings(24, 4), inputs.embeddings(24, 5, shift=0.5)
    counts = tree.get("resamples")(24, 50, 7)
    found["resamples"] = exact(counts)
    kad = dataclasses.astuple(tree.get("kad")(x, y, counts))
    found |= {f"kad/{i}": exact(value) for i, value in enumerate(kad)}
    found["frechet"] = exact(tree.get("frechet")(x[:, 0], y[:, 0]))
    found["frechet_infinity"] = exact(tree.get("frechet_infinity")(x, y, np.random.default_rng(8)))
    values = np.where(np.arange(24) % 7 == 3, np.nan, x[:, 0, 0].astype(float))
    estimate = dataclasses.astuple(tree.get("mean_estimate")(values, counts))
    found |= {f"mean_estimate/{i}": exact(value) for i, value in enumerate(estimate)}
    features = tree.get("class_features")(one)
    found["class_features"] = exact(features)
    classifier = tree.get("ClassCheck")(features, np.array(["kick", "snare"] * 3))
    said = tree.attr(classifier, "classifier.metrics")(other, "kick")
    found |= {f"class_check/{i}": exact(value) for i, value in enumerate(said.values())}
    return found


def gate(tree: Tree) -> Values:
    """The gate's verdicts, with their evidence and reasons, on better, equal, worse and slower models."""
    config = tree.config("GateConfig", "gate", {"gate.resamples": 200})
    n, rng = 40, np.random.default_rng(9)
    mss, truth = rng.uniform(1, 9, n), inputs.embeddings(n, 10)
    cases = {
        "better": (0.8, 0.3, 1.0, 10.0),
        "equal": (1.0, 1.0, 1.0, 10.0),
        "worse": (1.2, 1.6, 1.0, 10.0),
        "slower": (0.8, 0.3, 6.0, 300.0),
    }
    old = _scores(tree, mss, truth + inputs.embeddings(n, 11), 1.0, 10.0)
    new = {
        name: _scores(tree, mss * ratio * rng.uniform(0.98, 1.02, n), truth + far * noise, seconds, size)
        for name, (ratio, far, seconds, size) in cases.items()
        for noise in [inputs.embeddings(n, 12)]
    }
    verdicts = tree.get("judge")(config, dict.fromkeys(cases, old), new, dict.fromkeys(cases, truth))
    found: Values = {}
    for name, verdict in verdicts.items():
        evidence = tree.attr(verdict, "verdict.evidence")
        found[f"{name}/promote"] = exact(tree.attr(verdict, "verdict.promote"))
        found[f"{name}/evidence"] = exact([dataclasses.astuple(family) for family in evidence.values()])
        found[f"{name}/reasons"] = exact(tree.attr(verdict, "verdict.reasons"))
    return found


def confidence(tree: Tree) -> Values:
    """A regression fitted anew, and how well it is calibrated. The features are others than in the base."""
    rng = np.random.default_rng(13)
    features = rng.uniform(0, 1, (20, 7))
    outcomes = (features[:, 0] + rng.normal(0, 0.3, 20) > 0.5).astype(float)
    fitted = tree.get("fit_logistic")(features, outcomes)
    predicted = fitted(features)
    return {
        "fitted": exact(dataclasses.astuple(fitted)),
        "predicted": exact(predicted),
        "calibration error": exact(tree.get("calibration_error")(predicted, outcomes)),
    }


def decoding(tree: Tree) -> Values:
    """Tokens of the shipped models, greedy and sampled, for the prompts of two mixes."""
    shipped_codec, generate = tree.get("shipped_codec")(), tree.get("generate")
    rules = {
        "greedy": {},
        "sampled": {"temperature": 0.8, "top_p": 0.95, "seed": 5},
        "top-k": {"temperature": 1.1, "top_k": 20, "seed": 6},
    }
    mixes = [inputs.mix(14), _loop(tree)]
    found: Values = {}
    for drum in DRUMS[:2] if tree.quick else DRUMS:
        loaded = tree.get("load_model")(tree.models / drum)
        config = tree.get("PromptConfig")(
            **tree.attr(loaded, "checkpoint.meta")[tree.name("key.meta.prompt")]
        )
        # The tree takes a mix's activations beside it, of which fixed onsets make no use.
        beside = [None] if tree.table["path.transcription"] else []
        prompts = np.stack(
            [tree.get("prompt_codes")(shipped_codec, mix, drum, config, *beside) for mix in mixes]
        )
        found[f"{drum}/prompts"] = array(prompts)
        for label, rule in rules.items():
            sampling = tree.get("Sampling")(**tree.kwargs("sampling", **rule))
            model = tree.attr(loaded, "checkpoint.model")
            found[f"{drum}/{label}"] = array(generate(model, torch.from_numpy(prompts), sampling))
    return found


def _scores(tree: Tree, mss: np.ndarray, embeddings: np.ndarray, seconds: float, size_mb: float) -> object:
    named = tree.kwargs("scores", mss=mss, embeddings=embeddings, seconds=seconds, size_mb=size_mb)
    return tree.get("Scores")(**named)


def _loop(tree: Tree) -> np.ndarray:
    """The first 4 s of the shipped loop, mono."""
    loop: np.ndarray = tree.get("read_audio")(tree.path("loop"))
    return loop[: 4 * inputs.RATE]
