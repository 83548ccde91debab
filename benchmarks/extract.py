"""Time and memory of extraction: a 4 s loop cold, warm and on a busy machine, a song, more candidates."""

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BUSY = "while True: sum(i * i for i in range(100000))"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--song-seconds", type=float, default=180.0, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts (default: %(default)s)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds unless the name says otherwise. The song is a bundled loop, repeated."""
    import numpy as np

    from dose import audio
    from dose.bundle import default_bundle
    from dose.extract import Extractor
    from dose.sources.shipped import DEMO

    bundle = args.bundle or default_bundle()
    loop = audio.read(DEMO / "loop_garzul.flac", mono=False)
    four = loop[:, : 4 * audio.RATE]
    song = np.tile(loop, (1, 1 + int(args.song_seconds * audio.RATE / loop.shape[1])))
    song = song[:, : int(args.song_seconds * audio.RATE)]
    figures: dict[str, Any] = {}
    _python("import torch")  # fills the system's file cache
    figures["start_import_torch"] = min(_python("import torch") for _ in range(args.repeats))
    # Cold: a new process each time, start-up and loading included.
    cold = [_command(four, bundle) for _ in range(args.repeats)]
    figures["command"], figures["command_processor"] = min(cold)
    # The same with one core taken by another process.
    with busy_process():
        beside, _ = min(_command(four, bundle) for _ in range(args.repeats))
    figures["command_beside_busy"] = beside
    figures["ratio_busy_to_idle"] = beside / figures["command"]
    start = time.perf_counter()
    extractor = Extractor(bundle)
    figures["load"] = time.perf_counter() - start
    figures["threads"] = extractor.threads
    figures["format"] = next(iter(extractor.models.values())).engine.choice.sentence
    extractor.extract(four, audio.RATE)  # warm-up
    for name, sound, candidates in (
        ("loop_1_candidate", four, 1),
        ("loop_8_candidates", four, 8),
        ("song_4_candidates", song, 4),
    ):
        times = []
        for seed in range(args.repeats):
            start = time.perf_counter()
            extractor.extract(sound, audio.RATE, candidates=candidates, seed=seed)
            times.append(time.perf_counter() - start)
        figures[name] = min(times)
    figures["ratio_8_to_1"] = figures["loop_8_candidates"] / figures["loop_1_candidate"]
    figures["song_seconds"] = args.song_seconds
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, value in figures.items():
        print(f"{name:20s} {value:10.2f}" if isinstance(value, float) else f"{name:20s} {value}")
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}


def _command(sound: Any, bundle: Path) -> tuple[float, float]:
    """`dose extract` on a file, in a process of its own, start-up included: wall time and processor time."""
    from dose import audio

    with tempfile.TemporaryDirectory() as folder:
        audio.write(Path(folder) / "mix.wav", sound)
        command = [
            sys.executable,
            "-m",
            "dose.cli",
            "extract",
            "mix.wav",
            "--out",
            "kit",
            "--keep-undetected",
        ]
        command += ["--bundle", str(bundle.resolve())]
        before, start = _children_seconds(), time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - start, _children_seconds() - before


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _python(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """A process that loads one core, as an audio workstation would."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()
