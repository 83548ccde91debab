"""The stage as a process: killed in the middle, run again, with any number of workers."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from servers import ray_head

from dose import files
from dose.sources.library import LIBRARY_INDEX, write_library_index

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # or Ray takes 127.0.0.1 for the address outside
COMMAND = [sys.executable, "-m", "pipelines.rmod"]


@pytest.fixture
def project(tmp_path, make_library, ranges_path):
    def make(name: str, workers: int):
        folder = tmp_path / name
        library = make_library(each=2)
        write_library_index(library.clips, library.root / LIBRARY_INDEX)
        files.write_manifest(library.root)
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "sources").symlink_to(library.root)
        text = ranges_path.read_text().replace("train: 4000", "train: 50").replace("val: 32", "val: 4")
        text = text.replace("test: 32", "test: 6").replace("items: 32", "items: 4")
        text = text.replace("shard: 8", "shard: 2").replace("workers: 2", f"workers: {workers}")
        (folder / "params.yaml").write_text(text)
        return folder

    return make


def _environment():
    return {**os.environ, "PYTHONPATH": os.getcwd()}


def _sounds(folder):
    root = folder / "data" / "rmod"
    return {p.relative_to(root): files.sha256(p) for p in sorted(root.glob("audio/**/*.zip"))}


@pytest.mark.slow
def test_killed_and_resumed_or_with_four_workers_the_same_bytes(project):
    once = project("once", 4)
    subprocess.run(COMMAND, cwd=once, env=_environment(), check=True, capture_output=True)
    killed = project("killed", 1)
    process = subprocess.Popen(COMMAND, cwd=killed, env=_environment(), stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    records = killed / "data" / "rmod" / "shards"
    while len(list(records.glob("test*/*.json"))) < 2 and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {p: p.stat().st_mtime_ns for p in records.rglob("*.json")}
    assert 0 < len(_sounds(killed)) < len(_sounds(once))
    subprocess.run(COMMAND, cwd=killed, env=_environment(), check=True, capture_output=True)
    assert _sounds(killed) == _sounds(once)
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in before.items())  # nothing was made twice
    files.check_manifest(killed / "data" / "rmod")


def _rays_worker():
    """The process of this machine that renders a shard for Ray right now, or None."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, IndexError):
            if process.cmdline()[0].startswith("ray::rendering"):
                return process
    return None


@pytest.mark.slow
def test_on_a_ray_cluster_the_same_bytes_and_a_lost_worker_costs_one_shard(project):
    once = project("once", 2)
    subprocess.run(COMMAND, cwd=once, env=_environment(), check=True, capture_output=True)
    spread = project("spread", 2)
    text = (spread / "params.yaml").read_text().replace("test: 6", "test: 30").replace("val: 4", "val: 24")
    (spread / "params.yaml").write_text(text)
    records = spread / "data" / "rmod" / "shards"
    with ray_head(2) as (address, _), (spread / "log").open("w") as log:
        around = _environment() | address | LOOPBACK
        process = subprocess.Popen(COMMAND, cwd=spread, env=around, stdout=log, stderr=log)
        deadline = time.time() + 240
        victim = None
        while victim is None and process.poll() is None and time.time() < deadline:
            time.sleep(0.005)
            if len(list(records.glob("val/*.json"))) >= 3:
                victim = _rays_worker()
        assert victim is not None, (spread / "log").read_text()[-3000:]
        before = {p: p.stat().st_mtime_ns for p in records.rglob("*.json")}
        victim.kill()
        assert process.wait(240) == 0, (spread / "log").read_text()[-3000:]
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in before.items())  # one shard was lost
    files.check_manifest(spread / "data" / "rmod")
    smaller = _sounds(once)
    assert len(smaller) == 2 + 3 + 3 + 2
    assert smaller == {name: digest for name, digest in _sounds(spread).items() if name in smaller}


@pytest.mark.slow
def test_a_mistake_is_one_sentence(project):
    folder = project("mistaken", 1)
    text = (folder / "params.yaml").read_text().replace("absent: 0.3", "absent: 3")
    (folder / "params.yaml").write_text(text)
    done = subprocess.run(COMMAND, cwd=folder, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "loops.absent is a probability" in done.stderr
    assert "Traceback" not in done.stderr
