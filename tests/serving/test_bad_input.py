"""Unusable files over HTTP with a real extractor: the same error message from /extract and /jobs."""

import io
import time

import hostile
import httpx
import numpy as np
import psutil
import pytest
import soundfile
import tiny_bundle
from server import Server
from song import song
from starlette.testclient import TestClient

from dose import audio
from dose.extract.extractor import Extractor
from serving.app import create_app
from serving.models.manager import ModelManager

RATE = audio.RATE


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    return Extractor.load(tiny_bundle.make(tmp_path_factory.mktemp("models")))


@pytest.fixture
def client(served, extractor):
    served()  # writes its params and names its state folder
    with TestClient(create_app(lambda config: ModelManager(config, load=lambda _: extractor))) as client:
        yield client


SOUND = song(1.0)
FLAC = audio.encoded(SOUND, "FLAC")
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"Dear Sir or Madam,\n" * 100, "not a sound file"),
    "0 Hz": (hostile.wav(0, 2, 16, b"\1\0" * 4000), "0 Hz|not a sound file"),
    "FLAC without a frame": (FLAC[:60], "not a sound file|no samples"),
    "silence": (audio.wav_bytes(np.zeros(RATE)), "is silent"),
    "NaN": (audio.wav_bytes(np.full(RATE, np.nan, np.float32), subtype="FLOAT"), "not finite"),
    "3 samples": (audio.wav_bytes(np.ones(3)), "only 3 samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_extract_answers_400_with_one_sentence(client, name):
    body, messages = BAD[name]
    answer = client.post("/extract", files={"audio": ("mix.wav", body)})
    assert answer.status_code == 400
    assert any(part in answer.json()["error"] for part in messages.split("|"))
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("name", BAD)
def test_a_song_is_refused_or_fails_with_the_same_sentence(client, name):
    body, messages = BAD[name]
    answer = client.post("/jobs", files={"audio": ("mix.wav", body)})
    status = answer.json()
    deadline = time.monotonic() + 20
    while answer.status_code == 202 and status["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        status = client.get(f"/jobs/{status['id']}").json()
    assert any(part in status["error"] for part in messages.split("|"))
    assert answer.status_code == 400 or status["state"] == "failed"


@pytest.mark.parametrize("where", ["/extract", "/jobs"])
def test_a_request_without_a_file_is_an_error(client, where):
    answer = client.post(where, data={"seed": "1"})
    assert answer.status_code == 400
    assert "send the sound as the field 'audio'" in answer.json()["error"]


def test_a_flac_cut_in_the_middle_gives_what_it_still_holds(client):
    answer = client.post("/extract?response=json", content=FLAC[: len(FLAC) // 2])
    assert answer.status_code == 200
    assert 0.2 < answer.json()["seconds"] < 0.9


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_minutes_take_the_memory_of_one(tmp_path):
    """A song of 20 minutes through a real server, and the service grows no more than by a short one."""
    models = tiny_bundle.make(tmp_path / "models")
    minute = song(60.0)
    long = io.BytesIO()
    with soundfile.SoundFile(long, "w", RATE, 2, format="FLAC") as f:
        for _ in range(20):
            f.write(minute.T)
    with Server(tmp_path, DOSE_BUNDLE=str(models)) as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        worker = max(family, key=lambda p: p.memory_info().rss)
        peaks = []
        for body in (audio.encoded(minute, "FLAC"), long.getvalue()):
            job = httpx.post(f"{server.url}/jobs", content=body, timeout=60).json()["id"]
            peak, state = 0, "queued"
            while state in ("queued", "running"):
                peak = max(peak, worker.memory_info().rss >> 20)
                status = httpx.get(f"{server.url}/jobs/{job}", timeout=30).json()
                state = status["state"]
                time.sleep(0.05)
            assert state == "done", status["error"]
            peaks.append(peak)
        refused = httpx.post(f"{server.url}/extract", content=long.getvalue(), timeout=60)
    print(f"peak of a minute {peaks[0]} MB, of twenty {peaks[1]} MB")
    assert peaks[1] < peaks[0] + 150
    assert refused.status_code == 413
    assert "/jobs" in refused.json()["error"]
