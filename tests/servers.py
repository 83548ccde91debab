"""Servers that tests start on loopback, each in processes of its own: MLflow, PostgreSQL, Ray."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
import pytest


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(folder, store, port):
    """An MLflow server with its log and artifacts in `folder`.

    One worker, without the job runners, which take five times the memory.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", store]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (folder / "server.log").open("a")
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        start_new_session=True,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, folder / "server.log")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def wait_for(url, process, log):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"{url} did not answer")


@contextlib.contextmanager
def ray_head(cpus):
    """A Ray cluster of one machine by `ray start`: what a driver must set to reach it, and its folder.

    It asks for a token, listens on loopback and has no dashboard.
    """
    token, port = secrets.token_hex(32), free_port()
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets need a short path
    shared = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    shared["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else 127.0.0.1 is taken for the machine's own address
    quiet = {"RAY_USAGE_STATS_ENABLED": "0"}
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={cpus}"]
    command += ["--include-dashboard=false", f"--object-store-memory={100 << 20}", f"--temp-dir={folder}"]
    log = (folder / "start.log").open("w")
    process = subprocess.Popen(command, env=os.environ | shared | quiet, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in (folder / "start.log").read_text():
            assert process.poll() is None, (folder / "start.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield {"RAY_ADDRESS": f"127.0.0.1:{port}", **shared}, folder
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.kill()
        process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(tmp_path):
    """A PostgreSQL of our own on loopback; its URI."""
    candidates = [shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
    initdb = next((c for c in candidates if c), None)
    if initdb is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    programs = Path(initdb).parent
    home = tmp_path / "pg"
    home.mkdir()
    as_user = []
    if os.getuid() == 0:  # it refuses to run as root
        for path in (tmp_path, *tmp_path.parents):
            if str(path).startswith("/tmp/"):
                path.chmod(path.stat().st_mode | 0o011)
        shutil.chown(home, "nobody", "nogroup")
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    subprocess.run(
        [*as_user, initdb, "-D", str(home / "data"), "-U", "dose", "-A", "trust"], check=True, **quiet
    )
    options = ["-D", str(home / "data"), "-p", str(port), "-k", str(home), "-h", "127.0.0.1"]
    process = subprocess.Popen([*as_user, str(programs / "postgres"), *options], **quiet)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.2)
        yield f"postgresql+psycopg2://dose@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(30)
