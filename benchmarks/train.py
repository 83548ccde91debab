"""One training step against a restatement of the authors', on the same data and sizes.

Both train on a 4 s mix (353 steps) and a one-shot of 2 s (183 steps). The authors': fp32 (their fp16 needs a
GPU), a head over all steps, three cross entropies, Adam. This project's: head and last block on the
one-shot's steps, one weighted cross entropy, fused AdamW, clipping, in the number format that `dose.compute`
chooses here, and in each format by itself. FLOPs are counted by torch's counter on this project's step.
"""

import argparse
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._timing import fastest
from dose import compute
from dose.model.compat import authors_decoding
from dose.model.config import ModelConfig
from dose.model.loss import onset_mask, training_loss
from dose.model.transformer import DoseModel, parameter_count
from dose.tokens import layout
from dose.train import optim
from dose.train.number_format import choose_format

# Dense bf16 peaks, FLOP/s, from the vendor's data sheets; for the MFU.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}

best = functools.partial(fastest, long=10.0)  # seconds; a step that takes longer runs once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--steps", type=int, default=3, help="steps timed; the fastest counts")
    parser.add_argument("--compile", action="store_true", help="torch.compile the step")
    parser.add_argument("--no-authors", action="store_true", help="leave out the authors' step")


def run(args: argparse.Namespace) -> dict[str, Any]:
    with compute.torch_threads(args.threads):
        figures = _run(args)
    print(table(figures))
    return figures


def _run(args: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    config = ModelConfig(layers=args.layers, width=args.width, heads=max(1, args.width // 64), frames=173)
    model = DoseModel(config).to(args.device).train()
    mix = torch.randint(1024, (args.batch, 9, 345), device=args.device)
    shot = torch.randint(1024, (args.batch, 9, 173), device=args.device)
    choice = choose_format("auto", model.head.weight.device, args.batch * config.steps, args.width)
    authors = None if args.no_authors else best(authors_step(model, mix, shot), args.steps)
    if args.device == "cpu":
        compute.retain_freed_memory()  # as the trainer does and the authors do not, so theirs is timed first
    # Operators that torch's counter does not know: oneDNN's product, and products that add to their result.
    uncounted = {
        torch.ops.mkldnn._linear_pointwise: _product_flop,
        torch.ops.aten.addmm_: lambda to, a, b, **more: 2 * math.prod(a) * b[1],
        torch.ops.aten.baddbmm_: lambda to, a, b, **more: 2 * math.prod(a) * b[2],
    }
    with FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
        our_step(model, mix, shot, "fp32", False)()
    flops = counter.get_total_flops()
    # Both formats, so that the choice can be checked against the measurement.
    formats: tuple[compute.Format, ...] = ("fp32", "bf16")
    seconds_of = {f: best(our_step(model, mix, shot, f, args.compile), args.steps) for f in formats}
    seconds = seconds_of[choice.format]
    steps = args.batch * (353 + config.steps - 1)
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "precision": choice.format,
        "chosen": choice.sentence,
        **{f"{name}_s": s for name, s in seconds_of.items()},
        "parameters": parameter_count(model),
        "batch": args.batch,
        "ours_s": seconds,
        "steps_per_s": steps / seconds,
        "tokens_per_s": 9 * steps / seconds,
        "pairs_per_s": args.batch / seconds,
        "gflop_per_step": flops / 1e9,
        "gflop_per_s": flops / 1e9 / seconds,
    }
    if authors is not None:
        figures["authors_s"] = authors
        figures["times_faster"] = authors / seconds
        figures |= {f"{name}_times_faster": authors / s for name, s in seconds_of.items()}
    peak = next((p for name, p in PEAKS.items() if name in figures["device"]), None)
    if peak:
        figures["mfu"] = flops / seconds / peak
    return figures


def _product_flop(x: tuple[int, ...], weight: tuple[int, ...], *others: Any, **more: Any) -> int:
    return 2 * math.prod(x) * weight[0]


def our_step(
    model: DoseModel, mix: torch.Tensor, shot: torch.Tensor, number_format: compute.Format, compiled: bool
) -> Callable[[], None]:
    optimiser = optim.adamw(model, 1e-4, 0.01)
    mask = onset_mask(model.config.steps, 9, "code").to(mix.device)
    forward = torch.compile(model.hidden) if compiled else model.hidden

    def step() -> None:
        tokens = layout.one_shot_steps(shot)
        with torch.autocast(mix.device.type, torch.bfloat16, enabled=number_format == "bf16"):
            loss = training_loss(forward(mix, tokens[:, :-1])[0], model.head, tokens, mask, 1.0).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def authors_step(model: DoseModel, mix: torch.Tensor, shot: torch.Tensor) -> Callable[[], None]:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        loss = authors_decoding.training_loss(model, layout.mix_steps(mix), layout.one_shot_steps(shot))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def table(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['parameters'] / 1e6:.1f} M parameters, batch {figures['batch']}",
        f"ours     {figures['ours_s']:8.3f} s a step in {figures['chosen']}",
        f"         {figures['pairs_per_s']:.1f} pairs/s, {figures['tokens_per_s']:.0f} tokens/s",
        f"counted  {figures['gflop_per_step']:8.1f} GFLOP a step, {figures['gflop_per_s']:.0f} GFLOP/s"
        + (f", MFU {figures['mfu']:.1%}" if "mfu" in figures else ""),
    ]
    if "authors_s" in figures:
        lines.append(f"authors  {figures['authors_s']:8.3f} s a step: {figures['times_faster']:.2f} x")
        each = ", ".join(f"{f} {figures[f'{f}_times_faster']:.2f} x" for f in ("fp32", "bf16"))
        lines.append(f"each format: {each}")
    return "\n".join(lines)
