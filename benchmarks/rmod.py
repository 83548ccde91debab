"""Speed of the training data: mixes a second on one core, against a plain chain of pedalboard and librosa.

Figures that end in _cpu count processor time, which other processes on the machine disturb least.
"""

import argparse
import contextlib
import functools
import importlib
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks._pedalboard_chain import render_plainly

if TYPE_CHECKING:
    from dose.rmod import MixSpec, RmodConfig
    from dose.sources.library import SampleLibrary

AUTHORS_MIXES_PER_S = 1.3  # the authors' generator on the machine of the design notes, one core


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mixes", type=int, default=60, help="mixes timed (default 60, at least 50)")
    parser.add_argument(
        "--reference", type=int, default=12, help="of them also by the plain chain (default 12)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of one worker and two by turns (default 5)")
    parser.add_argument(
        "--specs", type=int, default=50_000, help="mix specifications drawn and written (default 50000)"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--sources", type=Path, default=Path("data/sources"))


def run(args: argparse.Namespace) -> dict[str, Any]:
    from dose import config as params
    from dose.rmod import RmodConfig
    from dose.rmod.draw import draw_many
    from dose.sources.library import SampleLibrary

    config = params.load("rmod", RmodConfig, args.params)
    library = SampleLibrary.load(args.sources)
    specs = list(draw_many(config, library, "train", 0, max(args.mixes, 50)))
    with _pinned():
        figures = _one_core(specs, library, config, args.reference)
    figures |= _workers(args, config, library)
    figures |= _specs(args, config, library)
    figures["mixes"] = len(specs)
    figures["library_clips"] = len(library.clips)
    _print(figures)
    return figures


@contextlib.contextmanager
def _pinned() -> Iterator[None]:
    """Pins this process to one core, on Linux; elsewhere the system chooses."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _one_core(
    specs: list["MixSpec"], library: "SampleLibrary", config: "RmodConfig", reference: int
) -> dict[str, Any]:
    from dose.rmod.render import render

    def ours(spec: "MixSpec") -> None:
        render(spec, library, config)

    for spec in specs[:3]:  # compiles
        ours(spec)
    cold, _ = _times(ours, specs)  # most loops are transposed for the first time
    warm, warm_cpu = _times(ours, specs)
    with _steps() as spent:
        _times(ours, specs)
    plain_render = functools.partial(render_plainly, library=library)
    lean_render = functools.partial(render_plainly, library=library, lean=True)
    plain_render(specs[0])  # imports and compiles librosa
    (plain, plain_cpu), (lean, lean_cpu), (same, same_cpu) = _by_turns(
        (plain_render, lean_render, ours), specs[:reference]
    )
    return {
        "ms_per_mix": 1e3 * statistics.median(warm),
        "ms_per_mix_cpu": 1e3 * statistics.median(warm_cpu),
        "ms_per_mix_cold_pitch_cache": 1e3 * statistics.median(cold),
        "mixes_per_s_per_core": 1 / statistics.median(warm),
        "mixes_per_s_per_core_cpu": 1 / statistics.median(warm_cpu),
        "mixes_per_s_per_core_cold": 1 / statistics.median(cold),
        "times_authors": 1 / statistics.median(warm) / AUTHORS_MIXES_PER_S,
        "reference_ms_per_mix": 1e3 * statistics.median(plain),
        "reference_ms_per_mix_cpu": 1e3 * statistics.median(plain_cpu),
        "speedup_vs_reference": statistics.median(plain) / statistics.median(same),
        "speedup_vs_reference_cpu": statistics.median(plain_cpu) / statistics.median(same_cpu),
        "speedup_vs_lean_reference": statistics.median(lean) / statistics.median(same),
        "speedup_vs_lean_reference_cpu": statistics.median(lean_cpu) / statistics.median(same_cpu),
        "steps_ms": {name: 1e3 * seconds / len(specs) for name, seconds in spent.items()},
    }


def _times(fn: Callable[[Any], Any], values: Iterable[Any]) -> tuple[list[float], list[float]]:
    """Wall and processor seconds of each call."""
    wall, cpu = [], []
    for value in values:
        start, start_cpu = time.perf_counter(), time.process_time()
        fn(value)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return wall, cpu


def _by_turns(fns: tuple[Callable, ...], values: Iterable[Any]) -> list[tuple[list[float], list[float]]]:
    """`_times` of each function, all on one value before the next: a busy machine slows all alike."""
    turns = [[_times(fn, [value]) for fn in fns] for value in values]
    return [([wall[0] for wall, _ in own], [cpu[0] for _, cpu in own]) for own in zip(*turns, strict=True)]


@contextlib.contextmanager
def _steps() -> Iterator[dict[str, float]]:
    """Processor seconds in each step while the block runs; each step's function is wrapped in a clock."""
    render = importlib.import_module("dose.rmod.render")
    effects = render.effects
    steps = {
        "one-shots": (render, "one_shot"),
        "placing hits": (render, "place"),
        "loops (pitch from cache)": (render, "_loop"),
        "EQ": (effects, "apply_eq"),
        "compressor": (effects, "compress"),
        "level return": (effects, "rms"),
        "send filters": (effects, "first_order"),
        "delay": (effects, "delay"),
        "reverb": (effects, "reverb"),
        "limiter": (effects, "limiter_gain"),
        "summing": (effects, "mix_in"),
    }
    spent = dict.fromkeys((*steps, "everything"), 0.0)
    depth = [0]

    def clocked(name: str, fn: Callable) -> Callable:
        def call(*args: Any) -> Any:
            start = time.process_time()
            depth[0] += 1
            try:
                return fn(*args)
            finally:
                depth[0] -= 1
                if depth[0] == 0:  # an effect inside another step belongs to that step
                    spent[name] += time.process_time() - start

        return call

    before = {name: getattr(module, attribute) for name, (module, attribute) in steps.items()}
    for name, (module, attribute) in steps.items():
        setattr(module, attribute, clocked(name, before[name]))
    start = time.process_time()
    try:
        yield spent
    finally:
        spent["everything"] = time.process_time() - start
        for name, (module, attribute) in steps.items():
            setattr(module, attribute, before[name])
    spent["the rest"] = 2 * spent["everything"] - sum(spent.values())


TURN = 1.5  # seconds of one worker, or of both
STARTING = 20  # seconds for two processes to start, open the sample library and warm up


def _workers(args: argparse.Namespace, config: "RmodConfig", library: "SampleLibrary") -> dict[str, Any]:
    """Mixes a second of one process and of two at once, and what a process holds in memory.

    Two cores of a machine are not always twice one: they may be two threads of one, or lent to others as
    well. So the same two processes also count in a loop that touches no memory, by turns with the rendering:
    what that gains by the second worker is what the machine has to give.
    """
    from dose.cluster import map_shards

    job = functools.partial(_busy, config, library, args.rounds, time.time() + STARTING)
    with _as_processes():
        first, second = map_shards(job, range(2), workers=2, describe="one and two workers")

    def both(what: str) -> list[float]:
        return [a + b for a, b in zip(first[what], second[what], strict=True)]

    def scaling(what: str) -> float:
        pairs = zip(both(what), first[f"{what}, alone"], strict=True)
        return statistics.median(two / one for two, one in pairs)

    return {
        "one_worker_mixes_per_s": statistics.median(first["mixes, alone"]) / TURN,
        "two_workers_mixes_per_s": statistics.median(both("mixes")) / TURN,
        "two_workers_scaling": scaling("mixes"),
        "two_workers_scaling_of_an_empty_loop": scaling("loops"),
        "peak_memory_mb_per_worker": max(first["memory"] + second["memory"]),
    }


@contextlib.contextmanager
def _as_processes() -> Iterator[None]:
    """No cluster, whatever the environment says: this measures one machine."""
    address = os.environ.pop("RAY_ADDRESS", None)
    try:
        yield
    finally:
        if address is not None:
            os.environ["RAY_ADDRESS"] = address


def _busy(
    config: "RmodConfig", library: "SampleLibrary", rounds: int, start: float, worker: int
) -> dict[str, list[float]]:
    """What this worker gets done in each of its turns, which begin at `start`; until then it warms up."""
    import resource

    from dose.rmod.dataset import stream

    items = stream(config, library, "train", worker * 100_000, worker * 100_000 + 99_999)
    steps: dict[str, Callable[[], object]] = {
        "mixes": lambda: next(items),
        "loops": lambda: sum(range(20_000)),
    }
    done: dict[str, list[float]] = {f"{what}{how}": [] for what in steps for how in ("", ", alone")}
    while time.time() < start - 1:
        next(items)
    for begin, what in zip(itertools.count(), list(done) * rounds, strict=False):
        opens = start + begin * TURN
        time.sleep(max(opens - time.time(), 0))
        if what.endswith("alone") and worker:
            continue
        count = 0
        while time.time() < opens + TURN:
            steps[what.removesuffix(", alone")]()
            count += 1
        done[what].append(count)
    return {**done, "memory": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]}


def _specs(args: argparse.Namespace, config: "RmodConfig", library: "SampleLibrary") -> dict[str, Any]:
    """Draws and writes mix specifications with one worker; a million by extrapolation."""
    from dose.rmod import table

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mix_specs.parquet"
        start = time.perf_counter()
        table.write_part(config, library, "train", 0, args.specs, path)
        seconds = time.perf_counter() - start
        size = path.stat().st_size
    return {
        "specs_per_s_one_worker": args.specs / seconds,
        "million_specs_minutes_one_worker_extrapolated": 1e6 / args.specs * seconds / 60,
        "million_specs_gb_extrapolated": 1e6 / args.specs * size / 1e9,
    }


def _print(figures: dict[str, Any]) -> None:
    print(f"one core, {figures['mixes']} mixes, {figures['library_clips']} clips in the sample library\n")
    for name, ms in figures["steps_ms"].items():
        print(f"  {name:28}{ms:8.2f} ms a mix")
    print()
    for name, value in figures.items():
        if isinstance(value, float):
            print(f"  {name:52}{value:10.3f}")
