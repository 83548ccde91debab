"""POST /extract: uploads, options, responses, and the error of each unusable file or option."""

import base64
import io
import zipfile

import numpy as np
import pytest
import soundfile

from dose import audio


def encoded(
    format: str, rate: int = audio.RATE, channels: int = 2, seconds: float = 1.0, subtype=None
) -> bytes:
    noise = np.random.default_rng(1).normal(0, 0.1, (int(rate * seconds), channels))
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, rate, format=format, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_gives_a_zip_of_three_wavs_for_every_format(served, format):
    with served() as client:
        answer = client.post("/extract", files={"audio": (f"mix.{format.lower()}", encoded(format))})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    kit = zipfile.ZipFile(io.BytesIO(answer.content))
    assert kit.namelist() == ["kick.wav", "snare.wav", "hihat.wav"]
    for name in kit.namelist():
        sound = audio.read(io.BytesIO(kit.read(name)))
        assert len(sound) > audio.RATE / 2
        assert audio.peak(sound) > 0.1


CURL_TYPE = "application/x-www-form-urlencoded"  # what `curl --data-binary @loop.wav` says of it


def test_takes_the_file_under_any_field_name_and_as_the_bare_body(served, loop):
    with served() as client:
        bodies = [
            client.post("/extract", files={"file": ("a", loop)}),
            client.post("/extract", files={"mix": ("../../etc/passwd", loop)}),
            client.post("/extract", content=loop, headers={"content-type": "audio/wav"}),
            client.post("/extract", content=loop, headers={"content-type": CURL_TYPE}),
            client.post("/extract", content=loop),
        ]
    assert [r.status_code for r in bodies] == [200] * 5
    assert len({r.content for r in bodies}) == 1, "the same sound gives the same bytes, however it was sent"


def test_options_come_as_query_or_as_form_fields(served, loop):
    with served() as client:
        options = {"drums": "snare, kick", "candidates": "2", "seed": "7", "response": "json"}
        by_query = client.post("/extract", params=options, content=loop).json()
        by_form = client.post("/extract", data=options, files={"audio": ("a.wav", loop)}).json()
    assert by_query == by_form
    assert list(by_query["drums"]) == ["kick", "snare"]
    first, second = by_query["drums"]["kick"]
    assert (first["file"], second["file"]) == ("kick_01_0.90.wav", "kick_02_0.80.wav")
    assert (first["seed"], second["seed"]) == (7, 8)
    assert len(audio.read(io.BytesIO(base64.b64decode(first["audio"])))) / audio.RATE == pytest.approx(
        first["seconds"], abs=1e-3
    )


def test_accept_header_chooses_json(served, loop):
    with served() as client:
        assert (
            client.post("/extract", content=loop, headers={"accept": "application/json"}).json()["rate"]
            == 44100
        )
        zipped = client.post("/extract?response=zip", content=loop, headers={"accept": "application/json"})
    assert zipped.content[:2] == b"PK"


def test_tail_and_peak_shape_every_hit(served, loop):
    with served() as client:
        kit = client.post("/extract?tail=0.2&peak=-6&response=json", content=loop).json()
    for hits in kit["drums"].values():
        sound = audio.read(io.BytesIO(base64.b64decode(hits[0]["audio"])))
        assert len(sound) == int(0.2 * audio.RATE)
        assert audio.db(audio.peak(sound)) == pytest.approx(-6, abs=0.01)
        assert np.abs(sound[-4:]).max() < 1e-3, "the cut tail ends in silence"


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("drums=bongo", "bongo"),
        ("drums=,", "no drum"),
        ("candidates=0", "candidates"),
        ("candidates=9", "At most 8"),
        ("candidates=x", "candidates"),
        ("seed=-1", "seed"),
        ("tail=nan", "tail"),
        ("tail=kick:11", "tail"),
        ("peak=cymbal:-1", "cymbal"),
        ("format=mp3", "mp3"),
        ("peak=3", "peak"),
        ("response=xml", "response"),
        ("colour=red", "colour"),
    ],
)
def test_an_option_that_does_not_fit_is_named(served, loop, query, word):
    with served() as client:
        answer = client.post(f"/extract?{query}", content=loop)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "empty"),
        (b"this is no sound at all" * 50, 400, "not a sound file"),
        (encoded("WAV", seconds=0), 400, "no samples"),
        (encoded("WAV", seconds=6), 413, "longer than 5 s"),
        (encoded("WAV", rate=200_000, channels=8, seconds=1.9, subtype="PCM_U8"), 413, "8 MB"),
        (encoded("WAV", channels=40, seconds=0.1), 400, "40 channels"),
        (encoded("WAV", rate=1, seconds=5), 400, "1 Hz"),
        (b"\0" * (5 << 20), 413, "larger than 4 MB"),
    ],
)
def test_a_sound_that_cannot_be_used_gets_one_sentence(served, body, status, word):
    with served() as client:
        answer = client.post("/extract", content=body)
    assert answer.status_code == status
    assert word in answer.json()["error"]
    assert answer.json()["error"].endswith(".")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_not_a_number_is_refused(served):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full((1000, 1), np.nan, np.float32), 44100, format="WAV", subtype="FLOAT")
    with served() as client:
        answer = client.post("/extract", content=buffer.getvalue())
    assert answer.status_code == 400
    assert "not finite" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
        (b"a=b&c=d", "application/x-www-form-urlencoded"),
    ],
)
def test_a_broken_form_is_refused(served, body, kind):
    with served() as client:
        answer = client.post("/extract", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert "audio" in answer.json()["error"]
