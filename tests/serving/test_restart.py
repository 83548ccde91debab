"""Crashes and stops during a job: no job is lost or stuck, and no file is left over."""

import io
import signal
import time
import zipfile
from pathlib import Path

import httpx
import psutil
import pytest
from server import ROOT, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def serve(folder: Path, seconds: float) -> Server:
    return Server(
        folder,
        target="fake_service:Dose",
        FAKE_SECONDS=str(seconds),
        PYTHONPATH=f"{ROOT / 'tests' / 'serving'}:{ROOT}",
    )


def wait(server: Server, job: str, *states: str, seconds: float = 60) -> dict:
    deadline = time.monotonic() + seconds
    while True:
        reply = httpx.get(f"{server.url}/jobs/{job}").json()
        if reply["state"] in states:
            return reply
        assert time.monotonic() < deadline, reply
        time.sleep(0.05)


def submit(server: Server, body: bytes) -> str:
    return httpx.post(f"{server.url}/jobs", files={"audio": ("a.wav", body)}).json()["id"]


def test_a_job_cut_off_by_a_crash_is_done_after_the_restart(tmp_path, loop):
    server = serve(tmp_path, 6.0).start()
    running, waiting = submit(server, loop), submit(server, loop)
    wait(server, running, "running")
    server.kill()

    server = serve(tmp_path, 0.1)
    with server:
        for job, attempts in ((running, 2), (waiting, 1)):
            reply = wait(server, job, "done")
            assert reply["attempts"] == attempts
            kit = httpx.get(f"{server.url}/jobs/{job}/kit")
            assert len(zipfile.ZipFile(io.BytesIO(kit.content)).namelist()) == 3
        for job in (running, waiting):
            assert httpx.delete(f"{server.url}/jobs/{job}").status_code == 204
    left = [p.name for p in (tmp_path / "state").iterdir() if p.is_dir()]
    assert left == []


def test_a_job_that_always_crashes_the_service_fails(tmp_path, loop):
    server = serve(tmp_path, 6.0).start()
    job = submit(server, loop)
    for _ in range(2):
        wait(server, job, "running")
        server.kill()
        server = serve(tmp_path, 6.0).start()
    reply = wait(server, job, "failed")
    server.stop()
    assert "stopped 2 times" in reply["error"]


def test_sigterm_puts_the_job_back_and_ends_every_process(tmp_path, loop):
    server = serve(tmp_path, 6.0).start()
    job = submit(server, loop)
    wait(server, job, "running")
    since, family = time.monotonic(), _family(server.process.pid)
    assert len(family) > 1
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    assert time.monotonic() - since < 20
    assert psutil.wait_procs(family, timeout=5)[1] == []
    with serve(tmp_path, 0.1) as again:
        assert wait(again, job, "done")["attempts"] == 1, "a stop by SIGTERM is no attempt"


def test_sigterm_lets_a_running_request_finish(tmp_path, loop):
    import concurrent.futures

    server = serve(tmp_path, 2.0).start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{server.url}/extract", content=loop, timeout=30)
        time.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        assert answer.result().status_code == 200
    server.stop()


def test_a_killed_worker_process_is_replaced_and_its_job_goes_on(tmp_path, loop):
    with serve(tmp_path, 3.0) as server:
        job = submit(server, loop)
        wait(server, job, "running")
        for worker in _family(server.process.pid)[1:]:
            worker.kill()
        deadline = time.monotonic() + 60
        while True:
            try:
                reply = httpx.get(f"{server.url}/jobs/{job}", timeout=5).json()
                if reply["state"] == "done":
                    break
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert reply["attempts"] == 2


def _family(leader: int) -> list[psutil.Process]:
    """The server's processes (BentoML gives its workers process groups of their own)."""
    first = psutil.Process(leader)
    return [first, *first.children(recursive=True)]
