"""Device, threads and number format for training, decoding and codecs, chosen by measuring.

The fastest format does not follow from CPU flags: a CPU without bf16 instructions reports bf16 as supported
and emulates it, 6 to 13 times slower than fp32. So each caller passes its own operations in each format as
candidates, and these run for some milliseconds on its shapes. The rates are cached per machine in a file, so
that they are measured once and all runs on one machine agree. An explicit format is used as it is, or refused
with a list of what the device has.
"""

import contextlib
import ctypes
import dataclasses
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from dose import files
from dose.errors import ConfigError, DoseError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

# Weights and activations in float32; both in bfloat16; weights in half precision with float32 activations;
# weights of 8 bits with one scale per output. The last two are for decoding on a CPU, where reading the
# weights takes the time.
Format = Literal["fp32", "bf16", "fp16", "int8"]
Precision = Literal["auto", "fp32", "bf16"]  # of training and of convolutions
DecodingPrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]

Work = Callable[[], object]
Prepare = Callable[[], Work]  # allocates the operands; raises RuntimeError where the device lacks the format

# By agreement with fp32, the best first: the most likely token is fp32's in 99.8 % of steps with fp16, 98.8
# with bf16 and 98.2 to 98.7 with int8 (`dose bench decode`).
BY_ACCURACY: tuple[Format, ...] = ("fp32", "fp16", "bf16", "int8")
# A format must be faster by this factor than the more accurate ones. Repeated measurements on one busy
# machine differ by up to a fifth (`dose info --measure`).
MIN_SPEEDUP = 1.25
# Beside a busy process a second thread makes every operation wait for the slower core, so all cores together
# must be faster than one by this factor. Decoding gains 0.9 to 1.1 at width 128, 1.9 at width 1024 in int8.
MIN_THREAD_SPEEDUP = 1.4
PROBE_SECONDS = 0.02  # measuring time per candidate; its fastest run counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """A number format, and how it was chosen."""

    format: Format
    why: Literal["measured", "set", "gpu"]
    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)  # GFLOP/s of what was measured
    threads: int = 0  # 0: not chosen, torch's default

    @property
    def sentence(self) -> str:
        """For a log, such as "fp32, measured: bf16 5, fp32 48 GFLOP/s"."""
        rates = ", ".join(f"{name} {rate:.3g}" for name, rate in sorted(self.rates.items()))
        return f"{self.format}, {self.why}" + (f": {rates} GFLOP/s" if rates else "")


# Devices


def device(name: str = "auto") -> "torch.device":
    """auto (a GPU where torch can use one), cpu, cuda or cuda:N. ConfigError for an absent one."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as e:
        raise ConfigError(f"There is no device {name!r}; use auto, cpu or cuda.") from e
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and (found.index or 0) >= gpus):
        raise ConfigError(f"The device {name} is absent: torch finds a CPU and {gpus} GPUs; use auto.")
    return found


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The CPU's model name, else the architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def instructions() -> str:
    """The vector instructions that torch and oneDNN use: "AVX2", "AVX512", "AVX512 with bf16"."""
    import torch

    found = str(torch.backends.cpu.get_cpu_capability())
    bf16 = torch.cpu.get_capabilities().get("avx512_bf16") and found.startswith("AVX512")
    limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper().startswith("AVX2")
    return f"{found} with bf16" if bf16 and not limited else found


def machine() -> str:
    """One line for tables: CPU, instructions, cores, torch."""
    import torch

    return f"{cpu_name()}, {instructions()}, {cores()} cores, torch {torch.__version__}"


def retain_freed_memory() -> None:
    """Makes glibc reuse the memory of freed large tensors; elsewhere does nothing.

    By default each tensor above some MB is mapped anew from the system and unmapped when freed, and the
    system clears every page first: a training step at width 256 spends 5 % of its time on that, a step of the
    authors' training code a quarter.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: below 1 GiB from the heap
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: and the heap does not shrink


# Formats


def choose(
    wanted: str,
    on: "torch.device",
    what: str,
    candidates: Mapping[Format, Prepare],
    *,
    flop: float,
    threads: bool = False,
) -> Choice:
    """The number format for some work on the device `on`.

    `candidates`, fp32 first, prepare the work in each possible format; one run of it is `flop` floating-point
    operations. `what` names work and shapes and is the cache key. On a GPU nothing is measured: bf16 if the
    GPU has it, else fp32. With `threads` the number of CPU threads is chosen too. ConfigError for a format
    that the device lacks.
    """
    if on.type == "cuda":
        return _on_gpu(wanted, tuple(candidates))
    if wanted != "auto":
        return _as_set(wanted, candidates)
    rates = _cached(what, lambda: _measure(candidates, flop, threads))
    best = _fastest({k: v for k, v in rates.items() if k in get_args(Format)})
    all_cores = max((v for k, v in rates.items() if k.startswith(f"{best} ")), default=0.0)
    count = 0 if not threads else cores() if all_cores >= MIN_THREAD_SPEEDUP * rates[best] else 1
    return Choice(format=best, why="measured", rates=rates, threads=count)


def _as_set(wanted: str, candidates: Mapping[Format, Prepare]) -> Choice:
    def works(name: str) -> bool:
        with contextlib.suppress(RuntimeError, NotImplementedError, KeyError):
            candidates[name]()()  # type: ignore[index]
            return True
        return False

    if not works(wanted):
        available = [name for name in candidates if works(name)]
        raise ConfigError(
            f"There is no precision '{wanted}' for this on this CPU; it has {', '.join(available)}."
        )
    return Choice(format=wanted, why="set")  # type: ignore[arg-type]


def _on_gpu(wanted: str, has: tuple[Format, ...]) -> Choice:
    import torch

    half = torch.cuda.is_bf16_supported(including_emulation=False)
    has = tuple(name for name in has if name == "fp32" or (name == "bf16" and half))
    if wanted == "auto":
        return Choice(format=has[-1], why="gpu")
    if wanted not in has:
        raise ConfigError(
            f"There is no precision '{wanted}' for this on {torch.cuda.get_device_name()}; "
            f"it has {', '.join(has)}."
        )
    return Choice(format=wanted, why="set")  # type: ignore[arg-type]


def _fastest(rates: Mapping[str, float]) -> Format:
    """The most accurate format that no less accurate one beats by MIN_SPEEDUP."""
    best: Format = "fp32"
    for name in BY_ACCURACY:
        if rates.get(name, 0.0) >= MIN_SPEEDUP * rates[best]:
            best = name
    return best


# Measuring


def _measure(candidates: Mapping[Format, Prepare], flop: float, threads: bool) -> dict[str, float]:
    """GFLOP/s by format; with `threads` on one thread, and the best format on all cores besides."""
    rates: dict[str, float] = {}
    with torch_threads(1 if threads else 0):
        for name, prepare in candidates.items():
            with contextlib.suppress(RuntimeError, NotImplementedError):
                rates[name] = flop / _seconds(prepare()) / 1e9
    if threads and cores() > 1:
        best = _fastest(rates)
        with torch_threads(cores()):
            rates[f"{best} with {cores()} threads"] = flop / _seconds(candidates[best]()) / 1e9
    return rates


def _seconds(work: Work) -> float:
    """The fastest run within PROBE_SECONDS after a warm-up run; the warm-up itself if it is far too slow."""
    began = since = time.perf_counter()
    work()
    best = time.perf_counter() - began
    if best > 5 * PROBE_SECONDS:
        return best
    best = float("inf")
    while since - began < PROBE_SECONDS or best == float("inf"):
        since = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - since)
    return best


def cache_file() -> Path:
    """The cache of measured rates: $XDG_CACHE_HOME/dose/compute.json, by default below ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "dose" / "compute.json"


def _cached(what: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The cached rates of this machine and this work; measured and cached if there are none.

    A cache that cannot be read or written costs some milliseconds at the next start and nothing else.
    """
    key = f"{machine()}; {what}"
    cached = _read_cache().get(key)
    if isinstance(cached, dict) and "fp32" in cached:
        return {str(name): float(rate) for name, rate in cached.items()}
    rates = measure()
    with contextlib.suppress(OSError):
        files.write_json(cache_file(), {**_read_cache(), key: rates})
    return rates


def _read_cache() -> dict[str, Any]:
    with contextlib.suppress(DoseError, OSError):
        found = files.read_json(cache_file())
        return found if isinstance(found, dict) else {}
    return {}


# Threads


class _BlasLimit:
    """The thread count of numpy's BLAS, which is one number for the whole process.

    The first of several concurrent users sets it, and the last to leave restores the previous one. OpenBLAS
    obeys reliably in the main thread only; the service, which extracts in other threads, sets
    OPENBLAS_NUM_THREADS before numpy is loaded.
    """

    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0
        self.limits: Any = None

    def enter(self, count: int) -> None:
        import threadpoolctl

        with self.lock:
            if not self.users:
                self.limits = threadpoolctl.threadpool_limits(limits=count, user_api="blas")
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                self.limits.restore_original_limits()


_blas = _BlasLimit()


@contextlib.contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Limits the threads of torch (for the calling thread) and numpy's BLAS within the block.

    0 changes nothing, and neither does any count where the variable OMP_NUM_THREADS is set.
    """
    if count < 1 or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    _blas.enter(count)
    try:
        with torch_threads(count):
            yield
    finally:
        _blas.leave()


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Sets the threads of torch (for the calling thread) within the block; 0 leaves them as they are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
