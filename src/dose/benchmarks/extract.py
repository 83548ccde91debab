"""Time and memory of extraction: a 4 s loop cold and warm, a long song, and what further candidates cost."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, help="default: as for `dose extract`")
    parser.add_argument("--song-seconds", type=float, default=180.0, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="the best counts (default: %(default)s)")


def run(args: argparse.Namespace) -> dict[str, float]:
    """Seconds unless a name says otherwise. The song is a bundled loop, repeated."""
    import resource

    import numpy as np

    from dose import audio
    from dose.extract import Extractor
    from dose.extract.bundle import default_bundle

    bundle = args.bundle or default_bundle()
    loop = audio.read(Path(__file__).parents[1] / "sources" / "demo" / "loop_garzul.flac", mono=False)
    four = loop[:, : 4 * audio.RATE]
    song = np.tile(loop, (1, 1 + int(args.song_seconds * audio.RATE / loop.shape[1])))
    song = song[:, : int(args.song_seconds * audio.RATE)]
    figures = {"cold_command": _cold(four, bundle)}
    start = time.perf_counter()
    extractor = Extractor.load(bundle)
    figures["load"] = time.perf_counter() - start
    extractor.extract(four, audio.RATE)
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
        print(f"{name:20s} {value:10.2f}")
    return {name: round(value, 3) for name, value in figures.items()}


def _cold(sound, bundle: Path) -> float:
    """`dose extract` on a file, in a process of its own, start-up included."""
    from dose import audio

    with tempfile.TemporaryDirectory() as folder:
        audio.write(Path(folder) / "mix.wav", sound)
        command = [sys.executable, "-m", "dose.cli", "extract", "mix.wav", "--out", "kit", "--absent"]
        start = time.perf_counter()
        subprocess.run(
            [*command, "--bundle", str(bundle.resolve())], cwd=folder, check=True, capture_output=True
        )
        return time.perf_counter() - start
