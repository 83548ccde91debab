"""Latency, throughput and memory of the service: a loop, a song, many clients.

Without --url it starts `bentoml serve` in the current folder on a free port, with a state folder and a
BENTOML_HOME of its own, and ends it afterwards.
"""

import argparse
import concurrent.futures
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.extract import busy_process
from dose import files
from dose.audio import encoded

RATE = 44100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="a service that already runs (default: start one)")
    parser.add_argument("--bundle", help="models of the service that is started (default: the project's own)")
    parser.add_argument("--loops", type=int, default=20, help="4 s loops timed one by one (default 20)")
    parser.add_argument("--song", type=float, default=180.0, help="seconds of the song (default 180)")
    parser.add_argument("--requests", type=int, default=200, help="of the load (default 200)")
    parser.add_argument("--clients", type=int, default=16, help="of the load (default 16)")
    parser.add_argument(
        "--growth", type=int, default=1000, help="requests over which memory is watched (default 1000)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Each figure under its own key; times in seconds, memory in MB."""
    figures: dict[str, Any] = {}

    def report(**new: Any) -> None:
        figures.update(new)
        for name, value in new.items():
            shown = f"{value:.3f}" if isinstance(value, float) else value
            print(f"{name:28s} {shown}", flush=True)

    with _service(args, report) as (url, pid):
        loop = sound(4.0)
        if args.loops:
            report(**sequential_loops(url, loop, args.loops))
            with busy_process():
                beside = sequential_loops(url, loop, args.loops)["loop_p50_s"]
            report(loop_p50_beside_busy_s=beside, ratio_busy_to_idle=beside / figures["loop_p50_s"])
        if args.song > 0:
            report(**whole_song(url, sound(args.song), args.song))
            if pid is not None:
                report(song_resident_mb=memory(pid))
        if args.requests:
            report(**load(url, loop, args.requests, args.clients))
        if pid is not None and args.growth:
            report(**growth(url, pid, args.growth))
    return figures


def sequential_loops(url: str, body: bytes, count: int) -> dict[str, float]:
    """Latency of /extract for a 4 s loop, three drums, one candidate, warm."""
    import httpx

    times = []
    with httpx.Client(base_url=url, timeout=300) as client:
        for seed in range(count + 1):
            since = time.perf_counter()
            client.post("/extract", params={"seed": seed}, content=body).raise_for_status()
            times.append(time.perf_counter() - since)
    times = times[1:]  # the first request is warm-up
    return {"loop_p50_s": statistics.median(times), "loop_max_s": max(times)}


def whole_song(url: str, body: bytes, seconds: float) -> dict[str, float]:
    """A song through the task API, three drums and four candidates each."""
    from dose.client import Client

    since = time.perf_counter()
    with Client(url) as client:
        kit = client.extract_song(body, candidates=4)
    spent = time.perf_counter() - since
    return {"song_s": spent, "song_hits": sum(map(len, kit.hits.values())), "song_length_s": seconds}


def load(url: str, body: bytes, requests: int, clients: int) -> dict[str, Any]:
    """Closed-loop clients: each sends its next request after a response, or after the Retry-After of a 429.

    `load_p95_over_implied` is the 95th percentile over what the queue implies: with C clients and X answers
    a second, a request spends C / X seconds inside (Little's law).
    """
    import httpx

    limits = httpx.Limits(max_connections=clients)
    with httpx.Client(base_url=url, timeout=600, limits=limits) as client:

        def one(seed: int) -> tuple[float, int, int]:
            rejected = 0
            while True:
                since = time.perf_counter()
                answer = client.post("/extract", params={"seed": seed}, content=body)
                if answer.status_code != 429:
                    return time.perf_counter() - since, answer.status_code, rejected
                rejected += 1
                time.sleep(float(answer.headers["retry-after"]))

        since = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(one, range(requests)))
        wall = time.perf_counter() - since
    times = sorted(seconds for seconds, _, _ in answers)
    # The smallest time that at least 95 % of the requests do not exceed.
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    return {
        "load_ok": sum(status == 200 for _, status, _ in answers),
        "load_5xx": sum(status >= 500 for _, status, _ in answers),
        "load_429": sum(rejected for _, _, rejected in answers),
        "load_per_s": requests / wall,
        "load_p50_s": statistics.median(times),
        "load_p95_s": p95,
        "load_p95_over_implied": p95 / (clients * wall / requests),
    }


def growth(url: str, pid: int, requests: int, settle: int = 100) -> dict[str, float]:
    """Resident memory of the service after `settle` and after all requests of half a second each."""
    import httpx

    body = sound(0.5)
    first = memory(pid)
    peak = first
    with httpx.Client(base_url=url, timeout=300) as client:
        for i in range(requests):
            answer = client.post("/extract", params={"seed": i, "drums": "kick"}, content=body)
            if answer.status_code == 429:
                time.sleep(float(answer.headers["retry-after"]))
            now = memory(pid)
            peak = max(peak, now)
            # Allocators and caches grow during the first requests, which are not a leak.
            if i + 1 == min(settle, requests):
                first = now
    last = memory(pid)
    return {
        "memory_settled_mb": first,
        "memory_last_mb": last,
        "memory_peak_mb": peak,
        "memory_growth": last / first - 1,
    }


def memory(pid: int) -> float:
    """MB resident of the largest process below `pid`: the worker that holds the models."""
    import psutil

    # BentoML starts the worker as a child process; the models are in the largest one.
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    sizes = []
    for process in family:
        with contextlib.suppress(psutil.Error):
            sizes.append(process.memory_info().rss / 2**20)
    return float(max(sizes))


def sound(seconds: float) -> bytes:
    """A drum pattern over a chord, as FLAC: enough for every stage of an extraction to have work."""
    rng = np.random.default_rng(0)
    time_ = np.arange(int(0.3 * RATE)) / RATE
    noise = rng.normal(size=len(time_))
    # Decaying sine with a falling pitch, noise, and differentiated (high-passed) noise.
    kick = 0.8 * np.sin(2 * np.pi * (45 * time_ + 2.5 * (1 - np.exp(-time_ * 50)))) * np.exp(-time_ * 10)
    snare = 0.4 * noise * np.exp(-time_ * 22)
    hihat = 0.15 * np.diff(noise, append=0) * np.exp(-time_ * 60)
    total = max(1, int(seconds * RATE))
    mix = np.zeros(total + len(time_))
    for step in range(int(seconds * 4)):
        for hit, plays in ((hihat, True), (kick, step % 4 == 0), (snare, step % 4 == 2)):
            if plays:
                mix[step * RATE // 4 :][: len(time_)] += hit
    chord = sum(np.sin(2 * np.pi * hz * np.arange(total) / RATE) for hz in (110, 220, 277, 330))
    return encoded(0.8 * mix[:total] + 0.02 * chord, "FLAC")


@contextlib.contextmanager
def _service(args: argparse.Namespace, report: Callable[..., None]) -> Iterator[tuple[str, int | None]]:
    """(url, pid of the service if it was started here); reports the time until it is ready."""
    if args.url:
        yield args.url.rstrip("/"), None
        return
    import httpx

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="dose-bench-") as folder:
        env = os.environ | {"BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "True"}
        env["DOSE_STATE"] = str(Path(folder) / "state")
        if args.bundle:
            env["DOSE_BUNDLE"] = str(Path(args.bundle).resolve())
        command = [sys.executable, "-m", "bentoml", "serve", "--host", "127.0.0.1", "--port", str(port)]
        since = time.perf_counter()
        with open(Path(folder) / "log", "w") as log:
            process = subprocess.Popen(
                command,
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=files.die_with_parent,  # a benchmark that is killed leaves no service running
            )
        url = f"http://127.0.0.1:{port}"
        try:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    # Ready once the models are loaded and warmed up, which is what a caller waits for.
                    if httpx.get(f"{url}/readyz", timeout=10).status_code == 200:
                        break
                if process.poll() is not None or time.perf_counter() - since > 180:
                    raise RuntimeError((Path(folder) / "log").read_text()[-2000:])
                time.sleep(0.1)
            report(ready_s=time.perf_counter() - since)
            yield url, process.pid
        finally:
            # Ask first, so that running work is put back; then end what is left of the process group.
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
