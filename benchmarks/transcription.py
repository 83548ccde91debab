"""Time and memory of the drum transcription on the CPU: a song of three minutes with one thread and with two,
and the peak memory of songs of 1, 3 and 30 minutes that stream through it.

The songs are mixes of RMOD's realistic distribution, joined. How right the hits are, `dose evaluate
--transcription` measures.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

MIX_SECONDS = 20  # of a mix, and of a block of a streamed song, as `dose extract` reads files
SONG_MINUTES = 3
MEMORY_MINUTES = (1, 3, 30)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, help="folder of a network (default: the package's own)")
    parser.add_argument("--sources", type=Path, default=Path("data/sources"), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=int, nargs="+", default=MEMORY_MINUTES, metavar="N",
        help="lengths of the songs whose memory is measured (default: 1 3 30)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds, times real time and MB (2^20 bytes), printed as a table."""
    from dose.sources.library import SampleLibrary
    from dose.transcription.network import BUNDLED, load

    folder = args.weights or BUNDLED
    net = load(folder)
    blocks = song_blocks(SampleLibrary.load(args.sources), 60 * SONG_MINUTES // MIX_SECONDS)
    figures: dict[str, Any] = {
        "device": "cpu",
        "parameters": sum(p.numel() for p in net.parameters()),
        "song_seconds": 60 * SONG_MINUTES,
    }
    print(f"{'CPU':>8}{'song':>8}{'seconds':>10}{'times real time':>18}{'hits':>8}")
    for threads in (1, 2):
        seconds, hits = min(_timed(net, blocks, threads) for _ in range(args.repeats))
        times = 60 * SONG_MINUTES / seconds
        figures |= {
            f"seconds_{threads}_threads": round(seconds, 3),
            f"times_real_time_{threads}_threads": round(times, 1),
            "hits": hits,
        }
        print(f"{threads:4} thr.{SONG_MINUTES:4} min{seconds:10.2f}{times:18.1f}{hits:8}")
    print(f"{'':8}{'song':>8}{'peak MB':>10}{'more than the shortest':>26}")
    # A process of its own for each: what one has used once, it keeps.
    context = multiprocessing.get_context("spawn")
    for minutes in args.minutes:
        with context.Pool(1) as pool:
            peak = pool.apply(_peak, (folder, blocks[:3], minutes))
        figures[f"peak_mb_{minutes}_min"] = round(peak, 1)
        more = peak - figures[f"peak_mb_{args.minutes[0]}_min"]
        print(f"{'':8}{minutes:4} min{peak:10.0f}{more:26.1f}")
    peaks = [figures[f"peak_mb_{minutes}_min"] for minutes in args.minutes]
    figures["growth_mb"] = round(peaks[-1] - peaks[0], 1)
    return figures


def song_blocks(library: Any, count: int) -> list[np.ndarray]:
    """`count` mixes of the realistic distribution with drums and backing, float32 [1, N] each."""
    from dose.rmod.realistic.config import RealisticConfig
    from dose.rmod.realistic.mix import stream

    config = RealisticConfig(seconds=MIX_SECONDS, bare=0.0, drum_free=0.0, single_drum=0.0)
    return [mix.audio[None] for mix in stream(config, library, "test", 0, count)]


def transcribe_blocks(net: Any, blocks: Iterator[np.ndarray], seconds: float) -> int:
    """The number of hits of a song that comes in blocks, its rhythm found as well."""
    from dose.transcription.transcribe import candidates, hits_of, join

    return len(join(hits_of(candidates(blocks, net), net.second_pass), seconds).hits)


def _timed(net: Any, blocks: list[np.ndarray], threads: int) -> tuple[float, int]:
    """Seconds for the whole song, and its hits."""
    from dose import compute

    with compute.torch_threads(threads):
        start = time.perf_counter()
        hits = transcribe_blocks(net, iter(blocks), 60 * SONG_MINUTES)
        return time.perf_counter() - start, hits


def _peak(folder: Path, minute: list[np.ndarray], minutes: int) -> float:
    """Peak memory in MB of a process that transcribes a song of `minutes`, the minute repeated."""
    from dose import compute
    from dose.transcription.network import load

    with compute.torch_threads(1):
        song = (block for _ in range(minutes) for block in minute)
        transcribe_blocks(load(folder), song, 60.0 * minutes)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
