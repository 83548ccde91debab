"""What a lower number format costs in sound: MSS of extraction in each against fp32, on RMOD's test mixes.

One-shots are made as the table's rows past the paper are: of several samples one is chosen, matched and
blended with the input mix. Differences to fp32 are paired by mix, with 95 % bootstrap intervals. The row
"fp32, other seed" shows how much another draw alone changes: a format whose difference is no larger costs
nothing. The agreement is teacher-forced: the share of tokens whose likeliest code is fp32's, along fp32's own
tokens.
"""

import argparse
from pathlib import Path
from typing import Any

FORMATS = ("fp32", "bf16", "fp16", "int8")
OTHER_SEED = "fp32, other seed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--mixes", type=int, default=100, help="default: %(default)s")
    parser.add_argument(
        "--draws", type=int, default=8, help="samples for each one-shot (default: %(default)s)"
    )
    parser.add_argument("--formats", default=",".join(FORMATS), help="default: %(default)s")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--sources", type=Path, default=Path("data/sources"))


def run(args: argparse.Namespace) -> dict[str, Any]:
    from tqdm import tqdm

    from dose import config
    from dose.extract import Extractor
    from dose.rmod.config import RmodConfig
    from dose.rmod.dataset import stream
    from dose.sources.library import SampleLibrary

    formats = [name for name in args.formats.split(",") if name != "fp32"]
    extractors = {name: Extractor.load(args.bundle, precision=name) for name in ["fp32", *formats]}
    rows: list[tuple[str, Any, int]] = [(name, extractors[name], 0) for name in extractors]
    rows.insert(1, (OTHER_SEED, extractors["fp32"], 1))
    drums = extractors["fp32"].drums
    scores: dict[str, dict[str, list[float]]] = {name: {d: [] for d in drums} for name, _, _ in rows}
    alike: dict[str, dict[str, list[float]]] = {name: {d: [] for d in drums} for name in formats}
    rmod = config.load("rmod", RmodConfig, args.params)
    items = stream(rmod, SampleLibrary.load(args.sources), "test", 0, args.mixes)
    for item in tqdm(items, total=args.mixes, desc="formats", unit="mix"):
        for drum in drums:
            for name, extractor, seed in rows:
                made = extractor.extract_consensus([item.mix], drum, samples=args.draws, seed=seed)[0]
                scores[name][drum].append(_mss(made, item.shots[drum]))
            for name in formats:
                found = _agreement(extractors["fp32"], extractors[name], item.mix, drum)
                alike[name][drum].append(found)
    figures: dict[str, Any] = {"mixes": args.mixes, "rows": {}}
    for name, by_drum in scores.items():
        row = figures["rows"][name] = {}
        for drum, values in by_drum.items():
            row[drum] = _compared(values, scores["fp32"][drum])
            if name in alike:
                row[drum]["agreement"] = sum(alike[name][drum]) / len(alike[name][drum])
    print(table(figures))
    return figures


def _mss(made: Any, true: Any) -> float:
    from dose.metrics.mss import mss
    from dose.metrics.shots import SAMPLES, is_silent, prepare

    if is_silent(made):
        return float("nan")
    return float(mss(prepare(made)[None, :SAMPLES], prepare(true)[None, :SAMPLES])[0])


def _compared(values: list[float], base: list[float]) -> dict[str, float]:
    """The mean, and the mean difference to `base` with its interval."""
    import numpy as np

    from dose.metrics.statistics import mean_estimate, resamples

    counts = resamples(len(values), 1000, 0)
    change = mean_estimate(np.array(values) - np.array(base), counts)
    assert change is not None
    return {
        "mss": float(np.nanmean(values)),
        "change": change.value,
        "low": change.low,
        "high": change.high,
    }


def _agreement(base: Any, other: Any, mix: Any, drum: str) -> float:
    """Share of the tokens where both formats find the same code the likeliest, along a sample of fp32's."""
    import torch

    from dose.model.decode import generate, teacher_forced
    from dose.model.sampling import Sampling

    prompt = base.prompt(mix.mean(axis=0), drum)
    rows = generate(base.model(drum).engine, prompt, Sampling(temperature=1.0))
    mine, theirs = (teacher_forced(one.model(drum).engine, prompt, rows) for one in (base, other))
    return float((mine.argmax(-1) == theirs.argmax(-1)).to(torch.float32).mean())


def table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['mixes']} mixes"]
    for name, row in figures["rows"].items():
        for drum, f in row.items():
            told = f"{name:18s} {drum:6s} MSS {f['mss']:.3f}"
            if name != "fp32":
                told += f", to fp32 {f['change']:+.3f} [{f['low']:+.3f}, {f['high']:+.3f}]"
            if "agreement" in f:
                told += f", same first choice {f['agreement']:.1%}"
            lines.append(told)
    return "\n".join(lines)
