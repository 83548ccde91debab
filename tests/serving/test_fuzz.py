"""Hostile files: no 5xx, no crash, bounded memory, no left-over files.

The short form runs with the other tests, in this process, on the stand-in extractor: what is under test is
everything in front of it. The long form (DOSE_FUZZ, 2,000 by `make test-fuzz`) sends them to a real server
with real models.
"""

import itertools
import os
from pathlib import Path

import hostile
import httpx
import psutil
import pytest
import tiny_bundle
from server import Server

COUNT = int(os.environ.get("DOSE_FUZZ", "150"))
FROM = int(os.environ.get("DOSE_FUZZ_FROM", "0"))  # to go on where an earlier run ended
ALLOWED = {200, 202, 400, 413, 429}


def check(answer) -> None:
    assert answer.status_code in ALLOWED, (answer.status_code, answer.text[:300])
    if answer.status_code >= 400:
        body = answer.json()
        assert body["error"].endswith("."), body
        assert len(body["error"].split()) >= 4, "a sentence, not a code"
        assert "Traceback" not in answer.text


def test_the_short_form_in_process(served, tmp_path, monkeypatch):
    temp = tmp_path / "tmp"
    temp.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temp))
    seen = set()
    with served() as client:
        for name, body in hostile.cases(150):
            answer = client.post("/extract", files={"audio": (name.replace("\0", ""), body)})
            check(answer)
            seen.add(answer.status_code)
    assert {200, 400, 413} <= seen
    assert list(temp.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_against_a_real_server(tmp_path):
    bundle = tiny_bundle.make(tmp_path / "models")
    with Server(tmp_path, DOSE_BUNDLE=str(bundle)) as server, httpx.Client(timeout=120) as client:
        workers = psutil.Process(server.process.pid).children(recursive=True)
        worker = max(workers, key=lambda p: p.memory_info().rss)
        statuses: dict[int, int] = {}
        before = peak = 0
        jobs = []
        for i, (name, body) in enumerate(itertools.islice(hostile.cases(COUNT), FROM, None)):
            where = "/jobs" if i % 10 == 9 else "/extract?drums=kick"
            answer = client.post(server.url + where, files={"audio": (name, body)})
            while answer.status_code == 429:
                answer = client.post(server.url + where, files={"audio": (name, body)})
            check(answer)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 202:
                jobs.append(answer.json()["id"])
            rss = worker.memory_info().rss / 2**20
            before, peak = (rss, rss) if i == 100 else (before, max(peak, rss))
        for job in jobs:
            assert client.delete(f"{server.url}/jobs/{job}").status_code == 204
        assert worker.is_running(), "the worker that started is the one that ends: no crash on the way"
        assert worker.pid in [p.pid for p in psutil.Process(server.process.pid).children(recursive=True)]
    print(f"files {FROM} to {COUNT}: {statuses}, memory after 100 {before:.0f} MB, peak {peak:.0f} MB")
    assert peak < 3000
    assert left(tmp_path / "state") == []
    assert [p for p in (tmp_path / "tmp").rglob("*") if p.is_file() and "prometheus" not in str(p)] == []


def left(state: Path) -> list[str]:
    return [p.name for p in state.iterdir() if p.is_dir()]
