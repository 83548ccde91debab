"""A real `bentoml serve` in its own process group, on a free port of 127.0.0.1, ended in every case."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`with Server(tmp_path, DOSE_BUNDLE=...) as server: httpx.get(server.url)`"""

    def __init__(self, folder: Path, target: str = "", cwd: Path = ROOT, **env: str) -> None:
        self.folder, self.target, self.cwd = folder, target, cwd
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "serve.log"
        self.temp = folder / "tmp"
        self.temp.mkdir(parents=True, exist_ok=True)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("DOSE_", "BENTOML_", "PROMETHEUS_"))},
            "BENTOML_HOME": str(folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "DOSE_STATE": str(folder / "state"),
            "TMPDIR": str(self.temp),
            **env,
        }
        self.process: subprocess.Popen | None = None

    def start(self, wait: float = 120) -> "Server":
        """Returns once /readyz answers 200; `self.ready_seconds` is the time until then."""
        (self.folder / "bentoml").mkdir(exist_ok=True)
        since = time.monotonic()
        command = [str(Path(sys.executable).with_name("bentoml")), "serve"]
        command += [self.target] if self.target else []
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=self.cwd,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while True:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    self.ready_seconds = time.monotonic() - since
                    return self
            except httpx.HTTPError:
                pass
            if self.process.poll() is not None or time.monotonic() - since > wait:
                self.kill()
                raise RuntimeError(f"the service did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to the whole process group, as in a crash of the machine."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, wait: float = 40) -> None:
        """SIGTERM, so that running jobs are requeued; SIGKILL for what is left."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait)
        self.kill()

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()
