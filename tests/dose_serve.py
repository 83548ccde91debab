"""`dose serve` as a user starts it, on a free port, ended in every case."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

WAIT = 300  # seconds until it answers, on a busy machine


@contextlib.contextmanager
def dose_serve(dose: Path | str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Runs the program `dose` in `folder`, with its state there; yields the address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", folder / "serve.log"
    with open(log, "w") as file:
        server = subprocess.Popen(
            [dose, "serve", "--port", str(port), "--state", "state"],
            cwd=folder, env=environment, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        since = time.monotonic()
        while not _ready(url):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() - since < WAIT, log.read_text()[-3000:]
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False
