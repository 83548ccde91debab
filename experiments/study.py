"""Small models side by side: `python -m experiments.study ablations` fills data/study/ablations.

A study (experiments/NAME.yaml) lists variants: what each changes in params.yaml's `sweep.fit`, in the
number of pairs, or in the data it is trained on. Every variant is trained the same short way, answers the
same val mixes, and is held against `base` on them: differences are paired, with 95 % intervals. Each is a run
of the MLflow experiment of the study's name. What was trained before is not trained again.
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
from dose.drums import DRUMS
from dose.errors import ConfigError
from dose.evaluate.datasets import rmod_items
from dose.extract import rerank, segments
from dose.metrics.attack import attack_error
from dose.metrics.mss import mss
from dose.metrics.shots import prepare
from dose.metrics.statistics import mean_difference, mean_estimate, resamples
from dose.model import checkpoint
from dose.model.decode import generate
from dose.model.sampling import Sampling
from dose.rmod import RmodConfig
from dose.sweep import SweepConfig
from dose.tokens import layout
from dose.tokens.encode import TokensConfig, build
from dose.tokens.shards import Codes
from dose.tracking import Tracker, lineage_tags
from dose.train.data import FitData, Pairs, open_data
from dose.train.trainer import FitConfig, FitResult, fit
from pipelines.scale import overlay
from pipelines.stage import run_stage

STUDIES = Path(__file__).parent
OUT, SOURCES, CODEC = Path("data/study"), Path("data/sources"), Path("data/codec")
TOKENS, RMOD = Path("data/tokens"), Path("data/rmod")
BASE = "base"
LOSSES = ("val/loss", "val/onset_loss", "val/shuffle_gap", "val/onset_shuffle_gap", "val/picture_loss")
# The paper's; any draw; the medoid; what extraction writes; and that blended with the record, as it gives it.
RULES = ("greedy", "free", "central", "written", "answer")
JUDGED = ("mss", "attack")  # ms
SHOWN = (("mss", "free"), ("mss", "written"), ("mss", "answer"), ("attack", "free"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """What differs from `base`."""

    fit: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)  # of params.yaml: rmod, tokens
    items: int | None = None  # train pairs
    shared: bool = False  # one model for all drums, trained for as many steps as each of three


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mix:
    """What answers are held against."""

    segments: list[segments.Segment]
    truth: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    drums: tuple[str, ...]
    items: int
    score: int
    draws: int
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
            kept, scores = _scored(name, study, label, drum, codec, mixes)
            base = scores if label == BASE else base
            rows.setdefault(drum, {})[label] = {**kept, **_estimates(scores, base)}
            _record(tracker, name, label, drum, study, rows[drum][label])
            files.write_json(OUT / name / f"{drum}.json", rows[drum])
            with files.atomic(OUT / name / f"{drum}.md") as beside:
                beside.write_text(table(rows[drum]))
            draw(rows[drum], f"{name}, {drum}", OUT / name / f"{drum}.png")
            print(_row(drum, label, rows[drum][label]), flush=True)


def _mixes(drum: str, count: int) -> list[Mix]:
    """The first val mixes, which the val tokens were made of."""
    out = []
    for item in rmod_items(RMOD, "val", count):
        heard = segments.scan([np.atleast_2d(item.read_mix())], (drum,)).segments[drum]
        out.append(Mix(segments=heard, truth=item.read_truth(drum)))
    return out


def _scored(
    name: str, study: Study, label: str, drum: str, codec: Codec, mixes: list[Mix]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Losses and size of a variant's model, and how its answers to each val mix do."""
    variant = study.variant(label)
    settings = _fit_config(study, variant)
    data = _data(study, variant, drum, settings)
    out = OUT / name / ("all" if variant.shared else drum) / label.replace(" ", "-")
    began = time.process_time()
    result = fit(settings, data, out / "fit")
    spent = time.process_time() - began
    scores = _answers(study, variant, drum, data, result, codec, mixes)
    sizes = {"pairs": len(data.train), "steps": result.steps, "seconds": round(spent, 1)}
    losses = {m: result.history[-1][m] for m in LOSSES if m in result.history[-1]}
    parameters = {"parameters": sum(p.numel() for p in checkpoint.load(result.last).model.parameters())}
    return {**sizes, **parameters, **losses}, scores


def _fit_config(study: Study, variant: Variant) -> FitConfig:
    common = dataclasses.asdict(config.load("sweep", SweepConfig).fit)
    values = overlay(overlay(common, study.fit, "sweep.fit"), variant.fit, "sweep.fit")
    if variant.shared:
        values["model"]["drums"] = list(DRUMS)
    return config.parse(FitConfig, values, "sweep.fit")


def _data(study: Study, variant: Variant, drum: str, settings: FitConfig) -> FitData:
    """Train pairs of the variant's own tokens. Where those are of other mixes, the val pairs are the study's,
    so that all answer the same."""
    drums = DRUMS if variant.shared else (drum,)
    mine = _tokens(study, overlay_data(study.data, variant.data))
    judged = _tokens(study, study.data) if "rmod" in variant.data else mine
    own, others = (open_data(folder, drums, settings.prompt) for folder in (mine, judged))
    return dataclasses.replace(own, train=_first(own.train, variant.items or study.items), val=others.val)


def overlay_data(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return {section: {**common.get(section, {}), **own.get(section, {})} for section in {*common, *own}}


def _tokens(study: Study, changes: dict[str, Any]) -> Path:
    """The folder of tokens made under params.yaml with `changes`, made where it is not there yet; without
    changes the project's own."""
    if not changes:
        return TOKENS
    count = {"train": max(study.items, study.score), "val": study.score}
    sections = {name: config.read_section(name) for name in ("rmod", "tokens")}
    raw = overlay(overlay(sections, changes), {"tokens": count, "rmod": count})
    tokens = config.parse(TokensConfig, raw["tokens"], "params.yaml: tokens")
    rmod = config.parse(RmodConfig, raw["rmod"], "params.yaml: rmod")
    out = OUT / "tokens" / files.hash_json([tokens, rmod])
    if not (out / "val" / "index.json").is_file():
        build(tokens, rmod, SOURCES, CODEC, out)
    return out


def _first(pairs: Pairs, count: int) -> Pairs:
    def cut(arrays: list[Codes]) -> list[Codes]:
        return [Codes([codes.take(np.arange(min(count, len(codes))))]) for codes in arrays]

    return Pairs(
        cut(pairs.prompts), cut(pairs.shots), None if pairs.pictures is None else cut(pairs.pictures)
    )


def _answers(
    study: Study,
    variant: Variant,
    drum: str,
    data: FitData,
    result: FitResult,
    codec: Codec,
    mixes: list[Mix],
) -> dict[str, np.ndarray]:
    """{"mss_<rule>", "attack_<rule>"}: [items], against the true one-shots."""
    model = checkpoint.load(result.last).model
    out = {f"{metric}_{rule}": np.zeros(len(mixes)) for metric in JUDGED for rule in RULES}
    which = DRUMS.index(drum) if variant.shared else 0
    rules = [Sampling()] + [Sampling(temperature=1.0, seed=i) for i in range(study.draws)]
    for item, mix in enumerate(mixes):
        batch = data.val.take(np.array([which * data.val.each + item]))
        with torch.inference_mode():
            wanted = None if batch.drum is None else batch.drum.expand(len(rules))
            rows = generate(model, batch.prompt.expand(len(rules), -1, -1), rules, drum=wanted)
            codes = torch.stack([layout.one_shot_codes(r, model.config.pattern) for r in rows])
            sounds = codec.decode(codes)[:, 0].numpy()
            picture = model.read_prompt(batch.prompt, batch.drum).picture
        greedy, *drawn = (prepare(sound) for sound in sounds)
        several, expected = np.stack(drawn), None if picture is None else picture[0].numpy()
        written, answer = (prepare(rerank.consensus(several, expected, w)) for w in ((), mix.segments))
        made = np.stack([greedy, several[rerank.medoid(several)], written, answer, *drawn])
        truths = np.stack([mix.truth] * len(made))
        for metric, far in zip(JUDGED, (mss(made, truths), attack_error(made, truths)), strict=True):
            each = dict(zip(("greedy", "central", "written", "answer"), far, strict=False))
            each["free"] = np.nanmean(far[4:])
            for rule in RULES:
                out[f"{metric}_{rule}"][item] = each[rule]
    return out


def _estimates(scores: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict[str, Any]:
    """{"mss_free": value, "mss_free_low": ..., "mss_free_minus_base": ...}"""
    out: dict[str, Any] = {}
    for name, values in scores.items():
        counts = resamples(len(values), 2000, 0)
        found = {"": mean_estimate(values, counts)}
        if base is not scores:
            found["_minus_base"] = mean_difference(values, base[name], counts)
        for end, e in found.items():
            assert e is not None
            out |= {name + end: e.value, f"{name}{end}_low": e.low, f"{name}{end}_high": e.high}
    return out


def _record(tracker: Tracker, name: str, label: str, drum: str, study: Study, row: dict[str, Any]) -> None:
    run = tracker.open_run(f"study/{name}/{drum}/{files.hash_json([study, label])}", f"{drum}: {label}")
    tracker.set_tags(run, {**lineage_tags(Path()), "dose.kind": "study", "dose.drum": drum})
    tracker.log_params(run, {"variant": label, "changes": json.dumps(study.variants[label])})
    tracker.log_metrics(run, [(0, int(time.time() * 1000), row)])
    tracker.end_run(run, "FINISHED")


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: a line per variant; MSS by rule, and its answers' differences to base with intervals."""
    heads = ["", "parameters, M", "pairs", "steps", "loss", "onset loss", "gap", "picture", *RULES]
    heads += [f"{metric} {rule} - base" for metric, rule in SHOWN]
    lines = [heads, ["---"] * len(heads)]
    for label, row in rows.items():
        cells = [f"{row['parameters'] / 1e6:.1f}", f"{row['pairs']}", f"{row['steps']}"]
        cells += [f"{row[m]:.3f}" for m in ("val/loss", "val/onset_loss")] + [f"{row['val/shuffle_gap']:.4f}"]
        cells += [f"{row['val/picture_loss']:.3f}" if "val/picture_loss" in row else ""]
        cells += [f"{row[f'mss_{rule}']:.2f}" for rule in RULES]
        cells += [_difference(row, f"{metric}_{rule}") for metric, rule in SHOWN]
        lines.append([label, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _difference(row: dict[str, Any], name: str) -> str:
    if f"{name}_minus_base" not in row:
        return ""
    value, low, high = _less_base(row, name)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _less_base(row: dict[str, Any], name: str) -> list[float]:
    """A figure less base's, and the ends of the interval."""
    return [row[f"{name}_minus_base{end}"] for end in ("", "_low", "_high")]


def draw(rows: dict[str, dict[str, Any]], title: str, path: Path) -> None:
    """A line per variant: its MSS less base's, of what is written and of the answer, with 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    others = {label: row for label, row in rows.items() if label != BASE}
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.28 * len(others)), layout="constrained")
    for rule, colour, shift in (("written", "tab:gray", 0.12), ("answer", "tab:blue", -0.12)):
        cells = [_less_base(row, f"mss_{rule}") for row in others.values()]
        middle, low, high = np.array(cells).reshape(-1, 3).T
        place = np.arange(len(others)) + shift
        axes.errorbar(middle, place, xerr=(middle - low, high - middle), fmt="o", color=colour, label=rule)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(others)), others)
    axes.invert_yaxis()
    axes.set(xlabel="MSS against the true one-shot less base's; left is better", title=title)
    axes.legend()
    axes.grid(axis="x", alpha=0.3)
    with files.atomic(path) as beside:
        figure.savefig(beside, format="png", dpi=110)
    plt.close(figure)


def _row(drum: str, label: str, row: dict[str, Any]) -> str:
    told = "  ".join(f"{rule} {row[f'mss_{rule}']:.2f}" for rule in RULES)
    return f"{drum:6s} {label:32s} loss {row['val/loss']:.3f}  {told}  {_difference(row, 'mss_answer')}"


if __name__ == "__main__":
    run_stage(main)
