"""Generation at the authors' size: cached decoding against the authors' decoding, on the same random weights.

"auto" is what `dose extract` and the service use here: the number format that `dose.compute` measured to be
the fastest for that many requests at once. The others are run by name, with all of --threads.

The authors' decoding runs the whole sequence again for every step; a few steps are timed and the rest follows
from a quadratic in the step's number. That the cached tokens equal theirs at every step is checked by one
pass of their model over the finished sequence. Agreement of a lower precision is teacher-forced along the
fp32 tokens, so that one difference counts once.
"""

import argparse
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks._timing import fastest
from dose import compute
from dose.model.compat import authors_decoding
from dose.model.config import ModelConfig
from dose.model.decode import generate, teacher_forced
from dose.model.engine import DecodingEngine
from dose.model.transformer import DoseModel, parameter_count
from dose.tokens import layout

MIX_FRAMES = 345
FORMATS = ("fp32", "bf16", "fp16", "int8")
best = functools.partial(fastest, long=5.0)  # seconds; work that takes longer is run once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batches", default="1,8", help="requests decoded together, e.g. 1,3,8")
    parser.add_argument("--formats", default="fp32,fp16,int8", help="besides auto (default: %(default)s)")
    parser.add_argument(
        "--repeat", type=int, default=2, help="runs of which the fastest counts, where they are short"
    )
    parser.add_argument("--no-kit", action="store_true", help="skip the kit with a codec of official size")


def run(args: argparse.Namespace) -> dict[str, Any]:
    with compute.torch_threads(args.threads):
        return _run(args)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    # 1. The authors' decoding, and one request's tokens as the reference of all formats.
    model = random_model(args.layers, args.width).to(args.device)
    prompt = random_prompt(model, 1)
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "parameters": parameter_count(model),
        "steps": model.config.steps,
    }
    figures["authors_s"] = authors_seconds(model, prompt)
    tokens = generate(DecodingEngine(model), prompt)
    figures["tokens_equal_authors"] = authors_agree(model, prompt, tokens)
    # 2. What the package would choose here, per batch size.
    batches = [int(batch) for batch in args.batches.split(",")]
    auto = {batch: DecodingEngine(model, "auto", batch=batch) for batch in batches}
    figures["auto"] = measure(auto, args, figures["authors_s"])
    for batch, engine in auto.items():
        figures["auto"][f"batch_{batch}_format"] = engine.choice.sentence
    figures["auto"]["agreement"] = agreement(auto[batches[0]], prompt, tokens)
    # 3. Each format by itself.
    for precision in args.formats.split(","):
        engine = DecodingEngine(model, precision)
        figures[precision] = measure(dict.fromkeys(batches, engine), args, figures["authors_s"])
        if precision != "fp32":
            figures[precision]["agreement"] = agreement(engine, prompt, tokens)
    if not args.no_kit:
        figures["kit"] = kit(figures["authors_s"], figures["auto"][f"batch_{batches[0]}_s"])
    print(table(figures))
    return figures


def random_model(layers: int, width: int) -> DoseModel:
    """Random weights with the variance of the authors' initialisation."""
    torch.manual_seed(0)
    config = ModelConfig(layers=layers, width=width, heads=width // 64, frames=173, decoding="unconstrained")
    model = DoseModel(config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            module.reset_parameters()
    return model.requires_grad_(False)


def random_prompt(model: DoseModel, batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1024, (batch, model.config.codebooks, MIX_FRAMES), generator=generator)


def authors_seconds(model: DoseModel, prompt: Tensor) -> float:
    """The authors' decoding of all steps, from a quadratic through the times of first, middle and last."""
    n = model.config.steps
    mix = layout.mix_steps(prompt).to(model.head.weight.device)
    timed = [0, n // 2, n - 1]
    seconds = []
    for step in timed:
        # Any tokens serve: the time depends on their number alone.
        tokens = torch.cat([mix, mix[:, :step]], dim=1)[:, : mix.shape[1] + step]
        seconds.append(best(lambda t=tokens: authors_decoding.next_step(model, t), 2))  # type: ignore[misc]
    return float(np.polyval(np.polyfit(timed, seconds, 2), np.arange(n)).sum())


@torch.inference_mode()
def authors_agree(model: DoseModel, prompt: Tensor, tokens: Tensor) -> float:
    """Share of the generated tokens that the authors' model predicts too, given the tokens before them."""
    mix, generated = layout.mix_steps(prompt), tokens[:, : layout.stop_step(tokens[0]) + 1]
    logits = authors_decoding.forward(
        model, torch.cat([mix, generated[:, :-1]], dim=1).to(model.head.weight.device)
    )
    predicted = logits[:, mix.shape[1] - 1 :].view(*generated.shape, -1).argmax(-1).cpu()
    return float((predicted == generated).float().mean())


def measure(engines: dict[int, DecodingEngine], args: argparse.Namespace, authors: float) -> dict[str, Any]:
    """Seconds by batch, and the speed relative to the authors' decoding; `engines` by batch."""
    out: dict[str, Any] = {}
    for batch, engine in engines.items():
        prompts = random_prompt(engine.model, batch)
        out[f"batch_{batch}_s"] = best(lambda e=engine, p=prompts: generate(e, p), args.repeat)  # type: ignore[misc]
    first = next(iter(out.values()))
    out["times_faster"] = authors / first
    if "batch_8_s" in out and "batch_1_s" in out:
        out["batch_8_over_1"] = out["batch_8_s"] / out["batch_1_s"]
    return out


def agreement(engine: DecodingEngine, prompt: Tensor, tokens: Tensor) -> float:
    """Teacher-forced along fp32's tokens: the share that is this engine's most likely token too."""
    logits = teacher_forced(engine, prompt, tokens)
    return float((logits.argmax(-1).cpu() == tokens).float().mean())


def kit(authors: float, generation: float) -> dict[str, Any]:
    """Three drums from 4 s of mix with a codec of official size: encode once, generate and decode each.

    The authors' code encodes and decodes with upstream's modules and generates each one-shot in `authors`
    seconds, this project in `generation`; both one after the other, because each drum has its own model.
    """
    from dose.codec.dac import dac_random, with_backend

    upstream = dac_random(0, backend="plain")
    ours = with_backend(upstream, "fast")
    audio = 0.1 * torch.randn(1, 1, 176400, generator=torch.Generator().manual_seed(0))
    shot = torch.randint(1024, (1, 9, 173))
    theirs = best(lambda: upstream.encode(audio), 1) + 3 * (authors + best(lambda: upstream.decode(shot), 1))
    encode, decode = best(lambda: ours.encode(audio), 1), best(lambda: ours.decode(shot), 1)
    total = encode + 3 * (generation + decode)
    return {
        "authors_s": theirs, "ours_s": total, "times_faster": theirs / total,
        "encode_s": encode, "decode_each_s": decode, "generate_each_s": generation,
        "decoder": ours.choice.sentence,
    }  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    lines = [f"{figures['parameters'] / 1e6:.1f} M parameters, {figures['steps']} steps"]
    lines.append(f"{'authors, no cache':20s} {figures['authors_s']:8.2f} s (from timed steps)")
    lines += [f"{'cached ' + p:20s} {_row(figures[p])}" for p in ("auto", *FORMATS) if p in figures]
    lines += [f"auto, {k[:-7]}: {v}" for k, v in figures["auto"].items() if k.endswith("_format")]
    lines.append(f"fp32 tokens equal to the authors': {figures['tokens_equal_authors']:.2%}")
    if "kit" in figures:
        k = figures["kit"]
        lines.append(
            f"kit of 3: {k['ours_s']:.2f} s against {k['authors_s']:.1f} s, {k['times_faster']:.1f} x "
            f"(DAC's decoder in {k['decoder']})"
        )
    return "\n".join(lines)


def _row(f: dict[str, Any]) -> str:
    seconds = [f"{k[6:-2]}: {v:.2f} s" for k, v in f.items() if k.startswith("batch_") and k.endswith("_s")]
    text = f"{', '.join(seconds)}; {f['times_faster']:.1f} x"
    if "batch_8_over_1" in f:
        text += f"; 8 cost {f['batch_8_over_1']:.2f} x 1"
    if "agreement" in f:
        text += f"; same most likely token as fp32 {f['agreement']:.1%}"
    return text
