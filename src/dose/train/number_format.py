"""The number format of a training run: chosen by measuring the two candidates on this machine."""

import torch
from torch import nn

from dose import compute

PROBE_STEPS = 512  # time steps in a probe at most: beyond, the rate no longer changes


def choose_format(wanted: compute.Precision, device: torch.device, steps: int, width: int) -> compute.Choice:
    """fp32 or bf16 for training on `steps` time steps at once (batch times length) at this width.

    Measures a feed-forward layer's forward and backward pass. Raises ConfigError for a format that the device
    lacks.
    """
    steps = min(PROBE_STEPS, steps)
    up, down = (torch.full(s, 0.01, requires_grad=True) for s in ((4 * width, width), (width, 4 * width)))

    def prepare(number_format: compute.Format) -> compute.Work:
        x = torch.ones(steps, width)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=number_format == "bf16"):
                y = nn.functional.linear(nn.functional.gelu(nn.functional.linear(x, up)), down)
            y.sum().backward()

        return step

    return compute.choose(
        wanted,
        device,
        f"training, rows {steps}, width {width}",  # names a measurement that machines have stored
        {f: lambda f=f: prepare(f) for f in ("fp32", "bf16")},  # type: ignore[misc]
        flop=3 * 2 * steps * 8 * width * width,  # 3: forward, and backward twice
    )
