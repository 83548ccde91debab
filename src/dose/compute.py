"""Device, threads and number format: chosen once, by measuring, and asked by training, decoding and codecs.

Which format is fastest cannot be read off flags: a CPU without bf16 instructions reports bf16 as supported
and emulates it, 6 to 13 times slower than fp32. So whoever computes gives its own operations in each format
as candidates, and these run for some milliseconds on the shapes at hand. The rates are kept per machine in a
cache file: they are measured once, and runs on one machine agree. An explicit format is taken as it is, or
refused with a list of what the device has.
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
Prepare = Callable[[], Work]  # makes operands ready; raises RuntimeError where the device lacks the format

# From fp32's own numbers to those farthest from them: first choices of tokens are fp32's in 99.8 % with
# fp16, 98.8 % with bf16 and 98.2 to 98.7 % with int8 (`dose bench decode`).
CLOSENESS: tuple[Format, ...] = ("fp32", "fp16", "bf16", "int8")
# A format must be faster by this factor than those before it there. Rates measured again on one busy machine
# differ by up to a fifth (`dose info --measure`).
PAYS = 1.25
# Beside a busy process a second thread makes every operation wait for the slower core, so it must bring this
# factor on an idle machine. It brings 0.9 to 1.1 to decoding at width 128, 1.9 at width 1024 in int8.
THREADS_PAY = 1.4
PROBE_SECONDS = 0.02  # of each candidate; its fastest run counts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """A number format, and what it was chosen by."""

    format: Format
    why: Literal["measured", "set", "gpu"]
    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)  # GFLOP/s of what was measured
    threads: int = 0  # 0: not chosen, torch's own number

    @property
    def sentence(self) -> str:
        """For a log, such as "fp32, measured: bf16 5, fp32 48 GFLOP/s"."""
        rates = ", ".join(f"{name} {rate:.3g}" for name, rate in sorted(self.rates.items()))
        return f"{self.format}, {self.why}" + (f": {rates} GFLOP/s" if rates else "")


# Devices


def device(name: str = "auto") -> "torch.device":
    """auto (a GPU where torch can use one), cpu, cuda or cuda:N. ConfigError for one that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as e:
        raise ConfigError(f"There is no device {name!r}; use auto, cpu or cuda.") from e
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type not in ("cpu", "cuda") or (found.type == "cuda" and (found.index or 0) >= seen):
        raise ConfigError(f"The device {name} is not here: torch sees a CPU and {seen} GPUs; use auto.")
    return found


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The model name that the system gives, else the architecture."""
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


def keep_memory() -> None:
    """Lets this process keep the memory of large tensors for the next ones, where the C library is glibc's.

    By default each tensor above some MB is fresh memory from the system, given back when it is freed, and the
    system clears every page of it first: a training step at width 256 spends 5 % of its time on that, the
    authors' way a quarter.
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

    `candidates`, fp32 first, make the work ready in each format that might do it; one run of it is `flop`
    floating-point operations. `what` names work and shapes, for the cache. On a GPU nothing is measured: bf16
    where it has it. With `threads` their number for a CPU is chosen too. ConfigError for a format that the
    device lacks.
    """
    if on.type == "cuda":
        return _on_gpu(wanted, tuple(candidates))
    if wanted != "auto":
        return _as_set(wanted, candidates)
    rates = _cached(what, lambda: _measure(candidates, flop, threads))
    best = _fastest({k: v for k, v in rates.items() if k in get_args(Format)})
    many = max((v for k, v in rates.items() if k.startswith(f"{best} ")), default=0.0)
    number = 0 if not threads else cores() if many >= THREADS_PAY * rates[best] else 1
    return Choice(format=best, why="measured", rates=rates, threads=number)


def _as_set(wanted: str, candidates: Mapping[Format, Prepare]) -> Choice:
    def works(name: str) -> bool:
        with contextlib.suppress(RuntimeError, NotImplementedError, KeyError):
            candidates[name]()()  # type: ignore[index]
            return True
        return False

    if not works(wanted):
        has = [name for name in candidates if works(name)]
        raise ConfigError(f"There is no precision '{wanted}' for this on this CPU; it has {', '.join(has)}.")
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
    """The fastest format, but none that keeps less of fp32's numbers without being clearly faster."""
    best: Format = "fp32"
    for name in CLOSENESS:
        if rates.get(name, 0.0) >= PAYS * rates[best]:
            best = name
    return best


# Measuring


def _measure(candidates: Mapping[Format, Prepare], flop: float, threads: bool) -> dict[str, float]:
    """GFLOP/s by format; with `threads`, of one thread, and of the best format with all cores besides."""
    rates: dict[str, float] = {}
    with _torch_threads(1 if threads else 0):
        for name, prepare in candidates.items():
            with contextlib.suppress(RuntimeError, NotImplementedError):
                rates[name] = flop / _seconds(prepare()) / 1e9
    if threads and cores() > 1:
        best = _fastest(rates)
        with _torch_threads(cores()):
            rates[f"{best} with {cores()} threads"] = flop / _seconds(candidates[best]()) / 1e9
    return rates


def _seconds(work: Work) -> float:
    """The fastest of the runs that fit into PROBE_SECONDS after one to warm up; that one, if it is far too
    slow."""
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
    """Where rates are kept: $XDG_CACHE_HOME/dose/compute.json, by default below ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "dose" / "compute.json"


def _cached(what: str, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The rates kept for this machine and this work, else measured now and kept.

    A cache that cannot be read or written costs some milliseconds at the next start and nothing else.
    """
    key = f"{machine()}; {what}"
    kept = _read_cache().get(key)
    if isinstance(kept, dict) and "fp32" in kept:
        return {str(name): float(rate) for name, rate in kept.items()}
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
    """numpy's BLAS has one number of threads for the whole process: who asked first sets it, who leaves last
    gives back what was there before. (OpenBLAS obeys reliably in the main thread only. The service, which
    extracts in others, sets OPENBLAS_NUM_THREADS before numpy is loaded.)"""

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
    """Threads that torch (for the calling thread) and numpy's BLAS use within the block.

    0 leaves them as they are, and so does a number that OMP_NUM_THREADS sets from outside.
    """
    if count < 1 or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    _blas.enter(count)
    try:
        with _torch_threads(count):
            yield
    finally:
        _blas.leave()


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
