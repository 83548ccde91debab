"""Generation at the authors' size: our cached decoding against theirs, in one run, on the same random
weights.

"auto" is what `dose extract` and the service use here: the number format that `dose.compute` measured to be
the fastest for that many requests at once. The others are run by name, with all of --threads.

Their way runs the whole sequence again for every row; a few rows are timed and the rest follows from a
quadratic in the row's number. That the cached tokens equal theirs at every row is checked by one pass of
theirs over the finished sequence. Agreement of a lower precision is teacher-forced: it is led along the fp32
rows, so that one slip counts once.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dose.model.compat import authors_decoding
from dose.model.decode import generate, teacher_forced
from dose.model.engine import DecodingEngine
from dose.model.transformer import DoseModel, ModelConfig, parameter_count
from dose.tokens import layout

MIX_FRAMES = 345
FORMATS = ("fp32", "bf16", "fp16", "int8")
LONG = 5.0  # seconds; what takes longer is run once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batches", default="1,8", help="requests decoded together, e.g. 1,3,8")
    parser.add_argument("--formats", default="fp32,fp16,int8", help="besides auto (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=2, help="the best of so many runs counts, if short")
    parser.add_argument("--no-kit", action="store_true", help="skip the kit with a codec of official size")


def run(args: argparse.Namespace) -> dict[str, Any]:
    before = torch.get_num_threads()
    torch.set_num_threads(args.threads)
    try:
        return _run(args)
    finally:
        torch.set_num_threads(before)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    model = random_model(args.layers, args.width).to(args.device)
    prompt = random_prompt(model, 1)
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "parameters": parameter_count(model),
        "rows": model.config.rows,
    }
    figures["authors_s"] = authors_seconds(model, prompt)
    rows = generate(DecodingEngine(model), prompt)
    figures["tokens_equal_authors"] = authors_agree(model, prompt, rows)
    batches = [int(batch) for batch in args.batches.split(",")]
    users = {batch: DecodingEngine(model, "auto", batch=batch) for batch in batches}
    figures["auto"] = measure(users, args, figures["authors_s"])
    for batch, engine in users.items():
        figures["auto"][f"batch_{batch}_format"] = engine.choice.sentence
    figures["auto"]["agreement"] = agreement(users[batches[0]], prompt, rows)
    for precision in args.formats.split(","):
        engine = DecodingEngine(model, precision)
        figures[precision] = measure(dict.fromkeys(batches, engine), args, figures["authors_s"])
        if precision != "fp32":
            figures[precision]["agreement"] = agreement(engine, prompt, rows)
    if not args.no_kit:
        figures["kit"] = kit(figures["authors_s"], figures["auto"][f"batch_{batches[0]}_s"])
    print(table(figures))
    return figures


def random_model(layers: int, width: int) -> DoseModel:
    """Random weights with the spread that the authors' own initialisation gives."""
    torch.manual_seed(0)
    config = ModelConfig(layers=layers, width=width, heads=width // 64, frames=173, structure="free")
    model = DoseModel(config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            module.reset_parameters()
    return model.requires_grad_(False)


def random_prompt(model: DoseModel, batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1024, (batch, model.config.codebooks, MIX_FRAMES), generator=generator)


def authors_seconds(model: DoseModel, prompt: Tensor) -> float:
    """Their time for all rows: rows 0, middle and last are timed, a quadratic through them summed."""
    n = model.config.rows
    mix = layout.mix_steps(prompt).to(model.head.weight.device)
    places = [0, n // 2, n - 1]
    took = []
    for place in places:
        rows = torch.cat([mix, mix[:, : place or 0]], dim=1)[:, : mix.shape[1] + place]
        took.append(best(lambda r=rows: authors_decoding.next_row(model, r), 2))  # type: ignore[misc]
    return float(np.polyval(np.polyfit(places, took, 2), np.arange(n)).sum())


@torch.inference_mode()
def authors_agree(model: DoseModel, prompt: Tensor, rows: Tensor) -> float:
    """The part of the generated tokens that their pass over the finished sequence would say too."""
    mix, made = layout.mix_steps(prompt), rows[:, : layout.stop_step(rows[0]) + 1]
    logits = authors_decoding.forward(
        model, torch.cat([mix, made[:, :-1]], dim=1).to(model.head.weight.device)
    )
    said = logits[:, mix.shape[1] - 1 :].view(*made.shape, -1).argmax(-1).cpu()
    return float((said == made).float().mean())


def measure(engines: dict[int, DecodingEngine], args: argparse.Namespace, authors: float) -> dict[str, Any]:
    """Seconds by batch, and what they are in terms of the authors' way; `engines` by batch."""
    out: dict[str, Any] = {}
    for batch, engine in engines.items():
        prompts = random_prompt(engine.model, batch)
        out[f"batch_{batch}_s"] = best(lambda e=engine, p=prompts: generate(e, p), args.repeat)  # type: ignore[misc]
    first = next(iter(out.values()))
    out["times_faster"] = authors / first
    if "batch_8_s" in out and "batch_1_s" in out:
        out["batch_8_over_1"] = out["batch_8_s"] / out["batch_1_s"]
    return out


def agreement(engine: DecodingEngine, prompt: Tensor, rows: Tensor) -> float:
    """Led along `rows` (fp32's): the part of the tokens where this engine's first choice is the same."""
    logits = teacher_forced(engine, prompt, rows)
    return float((logits.argmax(-1).cpu() == rows).float().mean())


def kit(authors: float, say: float) -> dict[str, Any]:
    """Three drums from 4 s of mix with a codec of official size: encode once, say three shots, decode them.

    Theirs encodes and decodes with upstream's code and says each shot in `authors` seconds, ours in `say`;
    both say them one after the other, because each drum has a model of its own.
    """
    from dose.codec.dac import dac_random, with_backend

    plain = dac_random(0, backend="plain")
    ours = with_backend(plain, "fast")
    audio = 0.1 * torch.randn(1, 1, 176400, generator=torch.Generator().manual_seed(0))
    shot = torch.randint(1024, (1, 9, 173))
    theirs = best(lambda: plain.encode(audio), 1) + 3 * (authors + best(lambda: plain.decode(shot), 1))
    encode, decode = best(lambda: ours.encode(audio), 1), best(lambda: ours.decode(shot), 1)
    total = encode + 3 * (say + decode)
    return {
        "authors_s": theirs, "ours_s": total, "times_faster": theirs / total,
        "encode_s": encode, "decode_each_s": decode, "say_each_s": say, "decoder": ours.choice.sentence,
    }  # fmt: skip


def best(work: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of `times` runs, after one to warm up where that is cheap."""
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
        if took[0] > LONG:
            return took[0]
    return min(took[1:])


def table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['parameters'] / 1e6:.1f} M parameters, {figures['rows']} rows"]
    lines.append(f"{'authors, no cache':20s} {figures['authors_s']:8.2f} s (from timed rows)")
    lines += [f"{'cached ' + p:20s} {_row(figures[p])}" for p in ("auto", *FORMATS) if p in figures]
    lines += [f"auto, {k[:-7]}: {v}" for k, v in figures["auto"].items() if k.endswith("_format")]
    lines.append(f"fp32 tokens as the authors' way says them: {figures['tokens_equal_authors']:.2%}")
    if "kit" in figures:
        k = figures["kit"]
        lines.append(
            f"kit of 3: {k['ours_s']:.2f} s against {k['authors_s']:.1f} s, {k['times_faster']:.1f} x "
            f"(DAC's decoder in {k['decoder']})"
        )
    return "\n".join(lines)


def _row(f: dict[str, Any]) -> str:
    seconds = [f"{k[6:-2]}: {v:.2f} s" for k, v in f.items() if k.startswith("batch_") and k.endswith("_s")]
    said = f"{', '.join(seconds)}; {f['times_faster']:.1f} x"
    if "batch_8_over_1" in f:
        said += f"; 8 cost {f['batch_8_over_1']:.2f} x 1"
    if "agreement" in f:
        said += f"; same first choice as fp32 {f['agreement']:.1%}"
    return said
