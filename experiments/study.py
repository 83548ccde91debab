"""Small models side by side: `python -m experiments.study ablations` fills data/study/ablations.

A study (experiments/NAME.yaml) lists variants: what each changes in params.yaml's `sweep.fit`, in the
number of pairs, or in the training data. Every variant is trained for the same short time, generates
one-shots for the same val mixes, and is compared with `base` on them: differences are paired, with 95 %
intervals. Each variant is a run of the MLflow experiment with the study's name. A variant that was trained
before is not trained again.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from dose import config, files
from dose.codec import Codec, load_codec
from dose.config import was
from dose.drums import DRUMS
from dose.errors import ConfigError
from dose.evaluate.datasets import rmod_items
from dose.extract import rerank, segments
from dose.metrics.attack import attack_error
from dose.metrics.mss import mss
from dose.metrics.one_shots import prepare
from dose.model import checkpoint
from dose.model.decode import generate
from dose.model.sampling import Sampling
from dose.model.transformer import DoseModel, parameter_count
from dose.rmod import RmodConfig
from dose.sweep import SweepConfig
from dose.tokens import layout
from dose.tokens.encode import TokensConfig, build
from dose.tokens.shards import Codes
from dose.tracking import Tracker, lineage_tags
from dose.train.config import FitConfig
from dose.train.data import FitData, Pairs, open_data
from dose.train.trainer import fit
from dose.transcription import network
from experiments import report
from experiments.report import BASE, METHODS, METRICS
from pipelines.scale import overlay
from pipelines.stage import run_stage

STUDIES = Path(__file__).parent
OUT, SOURCES, CODEC = Path("data/study"), Path("data/sources"), Path("data/codec")
TRANSCRIPTION = Path("data/transcription")
TOKENS, RMOD = Path("data/tokens"), Path("data/rmod")
LOSSES = (
    "val/loss",
    "val/onset_loss",
    "val/conditioning_gap",
    "val/onset_conditioning_gap",
    "val/spectrogram_loss",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """The differences from `base`."""

    fit: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)  # of params.yaml: rmod, tokens
    items: int | None = None  # train pairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
    """A val mix, with the reference one-shot."""

    segments: list[segments.Segment]
    reference: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    drums: tuple[str, ...]
    items: int  # train pairs
    score: int  # val mixes to generate for
    samples: int = dataclasses.field(metadata=was("draws"))  # per mix
    fit: dict[str, Any]
    data: dict[str, Any]
    variants: dict[str, dict[str, Any]]

    def variant(self, name: str) -> Variant:
        return Variant(**self.variants[name])


def main() -> None:
    names = sorted(p.stem for p in STUDIES.glob("*.yaml"))
    parser = argparse.ArgumentParser(prog="python -m experiments.study", description=__doc__)
    parser.add_argument("study", choices=names)
    parser.add_argument("--drum", action="append", choices=DRUMS, help="repeatable; default: the study's")
    parser.add_argument("--only", action="append", help="variants to train beside base; repeatable")
    args = parser.parse_args()
    study = config.parse(Study, yaml.safe_load((STUDIES / f"{args.study}.yaml").read_text()), args.study)
    if unknown := sorted(set(args.only or ()) - set(study.variants)):
        raise ConfigError(f"The study {args.study} has no variant '{unknown[0]}'.")
    wanted = [v for v in study.variants if v == BASE or not args.only or v in args.only]
    run_study(args.study, study, tuple(args.drum or study.drums), wanted)


def run_study(name: str, study: Study, drums: tuple[str, ...], wanted: list[str]) -> None:
    """Trains and scores, a drum at a time; rewrites the table after each variant."""
    codec, tracker = load_codec(CODEC), Tracker(name)
    tracker.ensure_store()
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for drum in drums:
        base: dict[str, np.ndarray] = {}
        mixes = _mixes(drum, study.score)
        for label in wanted:
            figures, scores = _train_and_score(name, study, label, drum, codec, mixes)
            base = scores if label == BASE else base
            rows.setdefault(drum, {})[label] = {**figures, **report.estimates(scores, base)}
            _log_run(tracker, name, label, drum, study, rows[drum][label])
            files.write_json(OUT / name / f"{drum}.json", rows[drum])
            with files.atomic(OUT / name / f"{drum}.md") as beside:
                beside.write_text(report.table(rows[drum]))
            report.plot(rows[drum], f"{name}, {drum}", OUT / name / f"{drum}.png")
            print(report.summary(drum, label, rows[drum][label]), flush=True)


def _mixes(drum: str, count: int) -> list[Mix]:
    """The first val mixes, from which the val tokens were made."""
    out, net = [], network.load(TRANSCRIPTION)
    for item in rmod_items(RMOD, "val", count):
        scanned = segments.scan([np.atleast_2d(item.read_mix())], (drum,), net).segments[drum]
        out.append(Mix(segments=scanned, reference=item.read_reference(drum)))
    return out


def _train_and_score(
    name: str, study: Study, label: str, drum: str, codec: Codec, mixes: list[Mix]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Losses and size of a variant's model, and the scores of its one-shots for each val mix."""
    variant = study.variant(label)
    settings = _fit_config(study, variant)
    data = _data(study, variant, drum, settings)
    out = OUT / name / drum / label.replace(" ", "-")
    began = time.process_time()
    result = fit(settings, data, out / "fit")
    spent = time.process_time() - began
    model = checkpoint.load(result.last).model
    scores = _score(study, drum, data, model, codec, mixes)
    sizes = {"pairs": len(data.train), "steps": result.steps, "seconds": round(spent, 1)}
    losses = {m: result.history[-1][m] for m in LOSSES if m in result.history[-1]}
    return {**sizes, "parameters": parameter_count(model), **losses}, scores


def _fit_config(study: Study, variant: Variant) -> FitConfig:
    common = dataclasses.asdict(config.load("sweep", SweepConfig).fit)
    values = overlay(overlay(common, study.fit, "sweep.fit"), variant.fit, "sweep.fit")
    return config.parse(FitConfig, values, "sweep.fit")


def _data(study: Study, variant: Variant, drum: str, settings: FitConfig) -> FitData:
    """Train pairs of the variant's own tokens. Where those are of other mixes, the val pairs are the study's,
    so that all variants are scored on the same."""
    train_tokens = _tokens(study, overlay_data(study.data, variant.data))
    val_tokens = _tokens(study, study.data) if "rmod" in variant.data else train_tokens
    own, common = (open_data(folder, drum, settings.prompt) for folder in (train_tokens, val_tokens))
    return dataclasses.replace(own, train=_first(own.train, variant.items or study.items), val=common.val)


def overlay_data(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {section: {**common.get(section, {}), **own.get(section, {})} for section in {*common, *own}}


def _tokens(study: Study, changes: dict[str, Any]) -> Path:
    """The folder of tokens made under params.yaml with `changes`, built if it is missing; without changes the
    project's own."""
    if not changes:
        return TOKENS
    count = {"train": max(study.items, study.score), "val": study.score}
    sections = {name: config.read_section(name) for name in ("rmod", "tokens")}
    raw = overlay(overlay(sections, changes), {"tokens": count, "rmod": count})
    tokens = config.parse(TokensConfig, raw["tokens"], "params.yaml: tokens")
    rmod = config.parse(RmodConfig, raw["rmod"], "params.yaml: rmod")
    out = OUT / "tokens" / files.hash_json([tokens, rmod])
    if not (out / "val" / "index.json").is_file():
        build(tokens, rmod, SOURCES, CODEC, TRANSCRIPTION, out)
    return out


def _first(pairs: Pairs, count: int) -> Pairs:
    def cut(codes: Codes) -> Codes:
        return Codes([codes.select(np.arange(min(count, len(codes))))])

    spectrograms = None if pairs.spectrograms is None else cut(pairs.spectrograms)
    return Pairs(cut(pairs.prompts), cut(pairs.shots), spectrograms)


def _score(
    study: Study, drum: str, data: FitData, model: DoseModel, codec: Codec, mixes: list[Mix]
) -> dict[str, np.ndarray]:
    """{"mss_<method>", "attack_<method>"}: [mixes], distances to the reference one-shots."""
    out = {f"{metric}_{method}": np.zeros(len(mixes)) for metric in METRICS for method in METHODS}
    rules = [Sampling()] + [Sampling(temperature=1.0, seed=i) for i in range(study.samples)]
    for item, mix in enumerate(mixes):
        # 1. One greedy one-shot and several samples, as one batch.
        prompt = data.val.batch(np.array([item])).prompt
        with torch.inference_mode():
            tokens = generate(model, prompt.expand(len(rules), -1, -1), rules)
            codes = torch.stack([layout.one_shot_codes(t, model.config.pattern) for t in tokens])
            sounds = codec.decode(codes)[:, 0].numpy()
            spectrogram = model.encode_prompt(prompt).spectrogram
        greedy, *sampled = (prepare(sound) for sound in sounds)
        samples, expected = np.stack(sampled), None if spectrogram is None else spectrogram[0].numpy()
        # 2. One one-shot of the samples by each method.
        matched, blended = (prepare(rerank.consensus(samples, expected, s, drum)) for s in ((), mix.segments))
        made = np.stack([greedy, samples[rerank.medoid(samples)], matched, blended, *sampled])
        references = np.stack([mix.reference] * len(made))
        # 3. Their distances; "sample" is the mean over all samples.
        distances = (mss(made, references), attack_error(made, references))
        for metric, values in zip(METRICS, distances, strict=True):
            of_method = dict(zip(("greedy", "medoid", "matched", "blended"), values, strict=False))
            of_method["sample"] = np.nanmean(values[4:])
            for method in METHODS:
                out[f"{metric}_{method}"][item] = of_method[method]
    return out


def _log_run(tracker: Tracker, name: str, label: str, drum: str, study: Study, row: dict[str, Any]) -> None:
    run = tracker.open_run(f"study/{name}/{drum}/{files.hash_json([study, label])}", f"{drum}: {label}")
    tracker.set_tags(run, {**lineage_tags(Path()), "dose.kind": "study", "dose.drum": drum})
    tracker.log_params(run, {"variant": label, "changes": json.dumps(study.variants[label])})
    tracker.log_metrics(run, [(0, int(time.time() * 1000), row)])
    tracker.end_run(run, "FINISHED")


if __name__ == "__main__":
    run_stage(main)
