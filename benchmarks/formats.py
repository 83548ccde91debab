"""The cost of a lower number format in sound: MSS of extraction in each against fp32, on RMOD's test mixes.

One-shots are made as by `dose extract`: several samples, reranked, spectrally matched and blended with the
input mix. Differences to fp32 are paired by mix, with 95 % bootstrap intervals. The line "fp32, other seed"
shows the effect of another seed alone: a format whose difference is no larger costs nothing. The agreement
is teacher-forced along fp32's tokens: the share of tokens whose likeliest code is fp32's too.
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
        "--samples",
        "--draws",
        type=int,
        default=8,
        help="per one-shot (default: %(default)s; old name: --draws)",
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
    extractors = {name: Extractor(args.bundle, precision=name) for name in ["fp32", *formats]}
    rows: list[tuple[str, Any, int]] = [(name, extractors[name], 0) for name in extractors]
    # The scale of chance: the same format with another seed.
    rows.insert(1, (OTHER_SEED, extractors["fp32"], 1))
    drums = extractors["fp32"].drums
    scores: dict[str, dict[str, list[float]]] = {name: {d: [] for d in drums} for name, _, _ in rows}
    agreements: dict[str, dict[str, list[float]]] = {name: {d: [] for d in drums} for name in formats}
    rmod = config.load("rmod", RmodConfig, args.params)
    items = stream(rmod, SampleLibrary.load(args.sources), "test", 0, args.mixes)
    for item in tqdm(items, total=args.mixes, desc="formats", unit="mix"):
        for drum in drums:
            for name, extractor, seed in rows:
                made = extractor.extract_consensus([item.mix], drum, samples=args.samples, seed=seed)[0]
                scores[name][drum].append(_mss(made, item.shots[drum]))
            for name in formats:
                found = _agreement(extractors["fp32"], extractors[name], item.mix, drum)
                agreements[name][drum].append(found)
    figures: dict[str, Any] = {"mixes": args.mixes, "rows": {}}
    for name, by_drum in scores.items():
        row = figures["rows"][name] = {}
        for drum, values in by_drum.items():
            row[drum] = _compared(values, scores["fp32"][drum])
            if name in agreements:
                row[drum]["agreement"] = sum(agreements[name][drum]) / len(agreements[name][drum])
    print(table(figures))
    return figures


def _mss(made: Any, reference: Any) -> float:
    from dose.metrics.mss import mss
    from dose.metrics.one_shots import SAMPLES, is_silent, prepare

    if is_silent(made):
        return float("nan")
    return float(mss(prepare(made)[None, :SAMPLES], prepare(reference)[None, :SAMPLES])[0])


def _compared(values: list[float], base: list[float]) -> dict[str, float]:
    """The mean, and the mean difference to `base` with its interval."""
    import numpy as np

    from dose.metrics.bootstrap import mean_estimate, resamples

    # Paired: the difference is taken mix by mix before it is resampled.
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
    """Share of the tokens with the same likeliest code in both formats, along a sample of fp32's."""
    import torch

    from dose.model.decode import generate, teacher_forced
    from dose.model.sampling import Sampling

    prompt = base.prompt(mix.mean(axis=0), drum)
    tokens = generate(base.model(drum).engine, prompt, Sampling(temperature=1.0))
    first, second = (teacher_forced(one.model(drum).engine, prompt, tokens) for one in (base, other))
    return float((first.argmax(-1) == second.argmax(-1)).to(torch.float32).mean())


def table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['mixes']} mixes"]
    for name, row in figures["rows"].items():
        for drum, f in row.items():
            text = f"{name:18s} {drum:6s} MSS {f['mss']:.3f}"
            if name != "fp32":
                text += f", to fp32 {f['change']:+.3f} [{f['low']:+.3f}, {f['high']:+.3f}]"
            if "agreement" in f:
                text += f", same likeliest token {f['agreement']:.1%}"
            lines.append(text)
    return "\n".join(lines)
