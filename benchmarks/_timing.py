"""The clock of the benchmarks of the model."""

import time
from collections.abc import Callable
from typing import Any

import torch


def fastest(work: Callable[[], Any], times: int, long: float) -> float:
    """Seconds of the fastest of `times` runs, after a warm-up run; of one run where it takes over `long`."""
    seconds = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        if seconds[0] > long:
            return seconds[0]
    return min(seconds[1:])
