"""The jobs API over HTTP: submit, poll, fetch, re-roll, cancel, retry, delete."""

import io
import time
import zipfile

import pytest
from fake_extractor import FakeExtractor

from dose import audio
from dose.drums import DRUMS
from dose.errors import AudioError
from serving.inference import SCAN, STAGES


def wait(client, job: str, *states: str, seconds: float = 15) -> dict:
    deadline = time.monotonic() + seconds
    while True:
        reply = client.get(f"/jobs/{job}").json()
        if reply["state"] in (states or ("done", "failed", "cancelled")):
            return reply
        assert time.monotonic() < deadline, reply
        time.sleep(0.01)


def submit(client, body: bytes, **options) -> str:
    answer = client.post("/jobs", params=options, files={"audio": ("song.wav", body)})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    return answer.json()["id"]


def test_a_song_becomes_a_kit(served, loop):
    with served() as client:
        job = submit(client, loop, candidates=2, drums="kick,hihat")
        reply = wait(client, job)
        assert (reply["state"], reply["progress"], reply["error"]) == ("done", 1.0, "")
        assert reply["seconds"] == 1.0
        zipped = client.get(f"/jobs/{job}/kit")
        listed = client.get(f"/jobs/{job}/kit?response=json").json()
    names = zipfile.ZipFile(io.BytesIO(zipped.content)).namelist()
    assert names == ["kick_01_0.90.wav", "kick_02_0.80.wav", "hihat_01_0.90.wav", "hihat_02_0.80.wav"]
    assert [hit["file"] for hits in listed["drums"].values() for hit in hits] == names
    assert listed["version"] == "fake-1"


def test_the_kit_is_the_same_as_the_synchronous_one(served, loop):
    with served() as client:
        job = submit(client, loop, seed=3)
        wait(client, job)
        assert client.get(f"/jobs/{job}/kit").content == client.post("/extract?seed=3", content=loop).content


def test_progress_is_reported_while_it_runs(served, loop):
    with served(FakeExtractor(seconds=1.0)) as client:
        job = submit(client, loop)
        running = wait(client, job, "running")
        seen = set()
        while running["state"] == "running":
            seen.add((running["progress"], running["stage"]))
            running = client.get(f"/jobs/{job}").json()
    fractions = sorted(fraction for fraction, _ in seen)
    assert len(fractions) > 3
    assert 0 <= fractions[0] < fractions[-1] < 1
    stages = {stage for _, stage in seen}
    assert {SCAN, *DRUMS} <= stages <= {"waiting", *STAGES}


def test_pick_formats_tails_and_levels_need_no_new_run(served, loop):
    with served() as client:
        job = submit(client, loop, candidates=3)
        wait(client, job)
        answer = client.get(f"/jobs/{job}/kit?format=sfz&pick=kick:2,snare:3&tail=kick:0.2&peak=-3")
        kit = zipfile.ZipFile(io.BytesIO(answer.content))
        bad = client.get(f"/jobs/{job}/kit?pick=kick:4")
        assert client.get(f"/jobs/{job}").json()["attempts"] == 1
    assert {"kick.wav", "snare.wav"} <= set(kit.namelist())
    assert [n for n in kit.namelist() if n.endswith(".sfz")]
    kick, snare = (audio.read(io.BytesIO(kit.read(f"{drum}.wav"))) for drum in ("kick", "snare"))
    assert len(kick) == int(0.2 * audio.RATE) < len(snare)
    assert audio.db(audio.peak(kick)) == pytest.approx(-3, abs=0.01)
    assert bad.status_code == 400
    assert "kick number 4" in bad.json()["error"]


@pytest.mark.parametrize("format", ["wav", "sfz", "hydrogen", "decentsampler", "ableton", "sf2", "mpc"])
def test_every_kit_format_can_be_downloaded(served, loop, format):
    with served() as client:
        answer = client.post(f"/extract?format={format}", content=loop)
    kit = zipfile.ZipFile(io.BytesIO(answer.content))
    assert kit.testzip() is None
    assert len(kit.namelist()) == (3 if format == "wav" else 4)


def test_a_reroll_changes_one_drum_and_keeps_the_rest(served, loop):
    with served() as client:
        first = submit(client, loop, candidates=2)
        wait(client, first)
        answer = client.post(f"/jobs/{first}/reroll?drums=snare&seed=5&candidates=2")
        assert answer.status_code == 202
        second = answer.json()["id"]
        wait(client, second)
        client.delete(f"/jobs/{first}")  # the new job stands on its own
        old_gone = client.get(f"/jobs/{first}")
        new = client.get(f"/jobs/{second}/kit?response=json").json()["drums"]
    assert old_gone.status_code == 404
    assert [hit["seed"] for hit in new["kick"]] == [0, 1]
    assert [hit["seed"] for hit in new["snare"]] == [5, 6]


def test_the_song_can_be_downloaded_until_it_is_deleted(served, loop):
    with served() as client:
        job = submit(client, loop)
        answer = client.get(f"/jobs/{job}/song")
        assert answer.content == loop
        assert answer.headers["content-type"] == "application/octet-stream"
        client.delete(f"/jobs/{job}")
        assert client.get(f"/jobs/{job}/song").status_code == 404


def test_only_a_done_job_has_a_kit_or_can_be_rerolled(served, loop):
    with served(FakeExtractor(seconds=2.0)) as client:
        job = submit(client, loop)
        for answer in (client.get(f"/jobs/{job}/kit"), client.post(f"/jobs/{job}/reroll?drums=kick")):
            assert answer.status_code == 409
            assert answer.json()["error"].startswith("The job is ")
        client.post(f"/jobs/{job}/cancel")


def test_a_running_and_a_waiting_job_can_be_cancelled_and_retried(served, loop):
    slow = FakeExtractor(seconds=3.0)
    with served(slow) as client:
        first, second = submit(client, loop), submit(client, loop)
        wait(client, first, "running")
        assert client.get(f"/jobs/{second}").json()["state"] == "queued"
        assert client.post(f"/jobs/{second}/cancel").json()["state"] == "cancelled"
        client.post(f"/jobs/{first}/cancel")
        assert wait(client, first, "cancelled", seconds=2)["state"] == "cancelled"
        slow.seconds = 0
        for job in (first, second):
            assert client.post(f"/jobs/{job}/retry").status_code == 202
            assert wait(client, job)["state"] == "done"
            again = client.post(f"/jobs/{job}/retry")
            assert (again.status_code, "done" in again.json()["error"]) == (409, True)


def test_a_failed_job_has_the_reason(served, loop):
    class Rejecting(FakeExtractor):
        def extract_blocks(self, blocks, **options):
            if options.get("progress"):  # not the warming
                raise AudioError("The upload is silent; send one with drums in it.")
            return super().extract_blocks(blocks, **options)

    with served(Rejecting()) as client:
        reply = wait(client, submit(client, loop))
        assert reply["state"] == "failed"
        assert reply["error"] == "The upload is silent; send one with drums in it."
        assert "silent" in client.get(f"/jobs/{reply['id']}/kit").json()["error"]


def test_a_bug_fails_the_job_and_not_the_worker(served, loop):
    class Broken(FakeExtractor):
        broken = False

        def extract_blocks(self, blocks, **options):
            if self.broken:
                raise ZeroDivisionError
            return super().extract_blocks(blocks, **options)

    extractor = Broken()
    with served(extractor) as client:
        wait(client, submit(client, loop))
        extractor.broken = True
        reply = wait(client, submit(client, loop))
        assert reply["state"] == "failed"
        assert "mistake" in reply["error"]
        extractor.broken = False
        assert wait(client, submit(client, loop))["state"] == "done"


def test_a_song_that_takes_too_long_fails_with_the_reason(served, loop):
    extractor = FakeExtractor()
    with served(extractor, song_timeout_s=0.3) as client:
        client.app.state.dose.manager.models_for()
        extractor.seconds = 8
        reply = wait(client, submit(client, loop), "failed")
    assert "took longer than 0.3 s" in reply["error"]


def test_a_file_that_is_no_audio_is_rejected_at_once_and_not_stored(served, tmp_path):
    with served() as client:
        for body in (b"", b"text" * 1000, b"RIFF" + b"\xff" * 100):
            assert client.post("/jobs", content=body).status_code == 400
        assert client.post("/jobs?drums=bongo", content=b"x").status_code == 400
        left = [p.name for p in (tmp_path / "state").iterdir() if p.is_dir()]
    assert left == []


def test_a_song_longer_than_allowed_fails(served):
    import numpy as np

    song = np.zeros((1, 61 * 8000), np.float32)
    with served() as client:
        reply = wait(client, submit(client, audio.wav_bytes(song, 8000)))
    assert "longer than 60 s" in reply["error"]


def test_too_many_waiting_songs_get_429(served, loop):
    with served(FakeExtractor(seconds=3), songs_queue=1) as client:
        first = submit(client, loop)
        wait(client, first, "running")
        submit(client, loop)
        answer = client.post("/jobs", content=loop)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        client.post(f"/jobs/{first}/cancel")


@pytest.mark.parametrize("id", ["nope", "..%2f..%2fetc", "%00", "a" * 5000])
def test_an_unknown_job_is_a_404(served, id):
    with served() as client:
        for method, path in [
            ("GET", ""),
            ("GET", "/kit"),
            ("GET", "/song"),
            ("POST", "/retry"),
            ("POST", "/cancel"),
            ("DELETE", ""),
        ]:
            answer = client.request(method, f"/jobs/{id}{path}")
            assert answer.status_code in (404, 405)
            assert answer.json()["error"]
