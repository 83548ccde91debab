"""MLflow servers started here: one that goes away for a while, and one on PostgreSQL."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from dose.files import write_manifest
from dose.tracking import Outbox, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def server(folder, store, port):
    """One worker without the job runners, which take five times the memory."""
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


def say(outbox, key, steps):
    outbox.open("s", "sweep", tags={}, params={})
    outbox.open(key, "trial", parent="s", tags={"dose.kind": "trial"}, params={"lr": 0.1})
    for step in steps:
        outbox.metrics(key, step, {"val/loss": 1 / step})


def test_a_server_that_is_away_gets_everything_in_order(empty_store, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store / "mlflow.db", tmp_path / "mlflow.db")
    port = free_port()
    store, uri = f"sqlite:///{tmp_path / 'mlflow.db'}", f"http://127.0.0.1:{port}"
    tracker = Tracker("dose-test", uri=uri, root=tmp_path)
    (tmp_path / "note.txt").write_text("heard")
    outbox = Outbox(tracker, tmp_path / "box")
    with server(tmp_path, store, port):
        tracker.ensure_store()
        say(outbox, "s/a", range(1, 4))
        assert outbox.drain(60)
    say(outbox, "s/b", range(1, 50))  # nobody listens
    outbox.metrics("s/a", 4, {"val/loss": 0.25})
    outbox.artifacts("s/a", tmp_path / "note.txt")
    outbox.end("s/a", "FINISHED")
    assert not outbox.drain(5)
    with server(tmp_path, store, port):
        assert outbox.drain(120)
        outbox.close()
        a, b = tracker.find_run("s/a"), tracker.find_run("s/b")
        assert a.status == "FINISHED"
        assert [m.step for m in tracker.client.get_metric_history(a.id, "val/loss")] == [1, 2, 3, 4]
        assert [m.step for m in tracker.client.get_metric_history(b.id, "val/loss")] == list(range(1, 50))
        assert {f.path for f in tracker.client.list_artifacts(a.id)} == {"note.txt"}
        assert outbox.rejected == []


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


def test_a_server_on_postgresql(postgres, tmp_path):
    port = free_port()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")
    write_manifest(bundle)
    with server(tmp_path, postgres, port):
        tracker = Tracker("dose-test", uri=f"http://127.0.0.1:{port}", root=tmp_path)
        tracker.ensure_store()
        with Outbox(tracker, tmp_path / "box") as outbox:
            say(outbox, "s/a", range(1, 6))
            outbox.end("s/a", "FINISHED")
        run = tracker.find_run("s/a")
        assert run.status == "FINISHED"
        assert [s for s, _ in tracker.curve(run.id, "val/loss")] == [1, 2, 3, 4, 5]
        version = tracker.register("dose-kick", bundle, hash="aa", tags={}, run_id=run.id)
        assert tracker.register("dose-kick", bundle, hash="aa", tags={}) == version
        tracker.set_alias("dose-kick", "champion", 1)
        tracker.download("dose-kick", 1, tmp_path / "got")
        assert (tmp_path / "got" / "model.json").read_text() == "{}"
