"""Kit names, byte ranges, methods, unknown paths, proxies, several formats, kits without detected drums."""

import io
import tarfile
import time
import zipfile

import numpy as np
import pytest
from fake_extractor import FakeExtractor

from dose import audio
from dose.extract.result import Kit


def _kit(answer) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    return {name: archive.read(name) for name in archive.namelist()}


def _done(client, loop) -> str:
    job = client.post("/jobs", content=loop).json()["id"]
    deadline = time.monotonic() + 20
    while client.get(f"/jobs/{job}").json()["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def _hydrogen_folder(kit: dict[str, bytes]) -> str:
    body = next(body for name, body in kit.items() if name.endswith(".h2drumkit"))
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return tar.getnames()[0].split("/")[0]


@pytest.mark.parametrize("where", ["/extract", "/jobs"])
def test_a_kit_can_be_named_and_has_its_own_name_otherwise(served, loop, where):
    """Two kits called `dose` would share the folder that Hydrogen installs them into."""
    other = audio.wav_bytes(np.random.default_rng(5).normal(0, 0.1, 44100).astype(np.float32))

    def folder(query: str, body: bytes = loop, seed: int = 0) -> str:
        if where == "/extract":
            answer = client.post(f"/extract?format=hydrogen&seed={seed}{query}", content=body)
        else:
            job = client.post(f"/jobs?seed={seed}", content=body).json()["id"]
            while client.get(f"/jobs/{job}").json()["state"] != "done":
                time.sleep(0.01)
            answer = client.get(f"/jobs/{job}/kit?format=hydrogen{query}")
        return _hydrogen_folder(_kit(answer))

    with served() as client:
        assert folder("&name=My%20kit") == "My_kit"
        assert folder("&name=%E6%97%A5%E6%9C%AC") != folder("&name=%E4%B8%AD%E5%9B%BD")
        assert folder("") == folder("")
        assert folder("") != folder("", other, seed=3)
        assert client.post(f"/extract?name={'x' * 201}", content=loop).status_code == 400


def test_several_formats_come_in_one_answer(served, loop):
    with served() as client:
        answer = client.post("/extract?format=sfz,%20SF2&name=x", content=loop)
        every = _kit(client.post("/extract?format=all&name=x", content=loop))
        job = _done(client, loop)
        of_job = _kit(client.get(f"/jobs/{job}/kit?format=sfz,sf2&name=x"))
        wrong = [client.post(f"/extract?format={text}", content=loop) for text in ("sfz,akai", ",")]
    assert {"x.sfz", "x.sf2"} < set(_kit(answer))
    assert _kit(answer) == of_job
    assert 'filename="kit-sfz-sf2.zip"' in answer.headers["content-disposition"]
    assert len(every) == 3 + 6
    assert [a.status_code for a in wrong] == [400, 400]
    assert "akai" in wrong[0].json()["error"]


def test_the_limits_of_a_format_are_reported_in_a_header(served, loop):
    with served() as client:
        left_out = client.post("/extract?format=mpc&candidates=5", content=loop).headers["x-dose-left-out"]
        assert "x-dose-left-out" not in client.post("/extract?format=sfz&candidates=5", content=loop).headers
    assert "4 of the 5 kick sounds" in left_out


class _Undetected(FakeExtractor):
    """Finds no drum: with hits that are probably not there, or with none at all."""

    def __init__(self, hits: bool) -> None:
        super().__init__()
        self.hits = hits

    def extract_blocks(self, blocks, **options):
        import dataclasses

        kit = super().extract_blocks(blocks, **options)
        absent = {
            drum: tuple(dataclasses.replace(hit, detected=False) for hit in hits) if self.hits else ()
            for drum, hits in kit.hits.items()
        }
        return Kit(hits=absent, seconds=kit.seconds, version="fake-1", data_id="fake", seed=0)


@pytest.mark.parametrize(
    ("hits", "query", "message"),
    [(True, "undetected=drop", "undetected=keep gives the likeliest"),
     (False, "undetected=keep", "with drums in it"), (False, "undetected=drop", "with drums in it")],
)  # fmt: skip
def test_a_sound_without_drums_is_an_error_about_the_request(served, loop, hits, query, message):
    """Not the exporter's "The kit 'dose' has no sounds, so there is nothing to write"."""
    with served(_Undetected(hits)) as client:
        job = _done(client, loop)
        for answer in (
            client.post(f"/extract?{query}", content=loop),
            client.get(f"/jobs/{job}/kit?{query}"),
        ):
            assert answer.status_code == 400
            assert message in answer.json()["error"]
            assert "kick, snare, hihat" in answer.json()["error"]


RANGES = [
    ("bytes=0-99", slice(0, 100)), ("bytes=100-", slice(100, None)), ("bytes=-50", slice(-50, None)),
    ("bytes=0-0", slice(0, 1)), ("bytes=5-99999999999", slice(5, None)), ("bytes=-99999999", slice(0, None)),
]  # fmt: skip


def test_a_hit_supports_byte_ranges(served, loop):
    with served() as client:
        path = f"/jobs/{_done(client, loop)}/hits/kick/1"
        whole = client.get(path)
        assert whole.headers["accept-ranges"] == "bytes"
        for asked, part in RANGES:
            answer = client.get(path, headers={"Range": asked})
            start, stop, _ = part.indices(len(whole.content))
            assert answer.status_code == 206, asked
            assert answer.content == whole.content[part]
            assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole.content)}"
            assert int(answer.headers["content-length"]) == stop - start
        for ignored in ("bytes=9-2", "bytes=0-1,5-9", "lines=0-3", "bytes=-", "nonsense"):
            assert client.get(path, headers={"Range": ignored}).content == whole.content
        for outside in (f"bytes={len(whole.content)}-", "bytes=-0"):
            refused = client.get(path, headers={"Range": outside})
            assert refused.status_code == 416
            assert refused.headers["content-range"] == f"bytes */{len(whole.content)}"
            assert refused.json()["error"].endswith(".")
        tag = whole.headers["etag"]
        for sent, status in ((tag, 206), ('"another"', 200)):
            headers = {"Range": "bytes=0-9", "If-Range": sent}
            assert client.get(path, headers=headers).status_code == status
        assert (
            client.get(path.replace("/hits/kick/1", "/song"), headers={"Range": "bytes=0-9"}).status_code
            == 206
        )


def test_head_answers_as_get_without_the_body(served, loop):
    with served() as client:
        job = _done(client, loop)
        paths = ["/", "/state", "/example.flac", "/openapi.json", "/web/style.css", "/jobs/none", "/nowhere"]
        paths += [f"/jobs/{job}{rest}" for rest in ("", "/kit", "/song", "/hits/kick/1")]
        for path in paths:
            got, headed = client.get(path), client.head(path)
            assert (headed.status_code, headed.content) == (got.status_code, b""), path
            for header in ("content-type", "content-length"):
                assert headed.headers.get(header) == got.headers.get(header), (path, header)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/extract", "POST"),
        ("HEAD", "/extract", "POST"),
        ("PUT", "/jobs", "POST"),
        ("PATCH", "/jobs/x", "DELETE, GET, HEAD"),
        ("DELETE", "/jobs/x/kit", "GET, HEAD"),
        ("GET", "/jobs/x/retry", "POST"),
        ("POST", "/state", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/web/style.css", "GET, HEAD"),
    ],
)
def test_a_wrong_method_gets_the_allowed_ones(served, method, path, allowed):
    with served() as client:
        answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    if method != "HEAD":
        assert allowed in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/extract/more", "/jobs/x/nothing", "/web/none.js", "/jobs/x/hits/kick/one"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_an_error_with_a_message(served, method, path):
    with served() as client:
        answer = client.request(method, path)
    assert answer.status_code in (404, 405)
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()["error"].split()) > 5
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_location_has_the_proxys_prefix(served, loop):
    with served() as client:
        prefixed = {"X-Forwarded-Prefix": "/tools/dose/"}
        sent = client.post("/jobs", content=loop, headers=prefixed)
        job = sent.json()["id"]
        assert sent.headers["location"] == f"/tools/dose/jobs/{job}"
        while client.get(f"/jobs/{job}").json()["state"] != "done":
            time.sleep(0.01)
        again = client.post(f"/jobs/{job}/reroll", headers=prefixed)
        assert again.headers["location"] == f"/tools/dose/jobs/{again.json()['id']}"
        assert (
            client.get("/state/", headers=prefixed, follow_redirects=False)
            .headers["location"]
            .endswith("/tools/dose/state")
        )
        for hostile in ("//evil.example", "/a\\b", "https://evil.example", "/a/../b c", "/a%0d"):
            answer = client.post("/jobs", content=loop, headers={"X-Forwarded-Prefix": hostile})
            assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
        assert "tools" not in client.get("/openapi.json").text


def test_location_has_the_root_path_and_the_key_is_still_required(served, loop, monkeypatch):
    """With `uvicorn --root-path` the path begins with the prefix, where the guard looked for /extract."""
    from starlette.testclient import TestClient

    monkeypatch.setenv("DOSE_API_KEY", "secret")
    with TestClient(served().app, root_path="/dose") as client:
        assert client.post("/dose/extract", content=loop).status_code == 401
        sent = client.post("/dose/jobs", content=loop, headers={"X-API-Key": "secret"})
        assert sent.headers["location"] == f"/dose/jobs/{sent.json()['id']}"


def test_a_sound_without_a_zero_in_its_head_is_no_form(served):
    """`curl --data-binary @x.aac` calls it a form."""
    body = bytes(range(1, 256)) * 8
    with served() as client:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        assert "not a sound file" in client.post("/extract", content=body, headers=headers).json()["error"]


def test_bentoml_forwards_unknown_paths(served):
    """It passes on only what some route matches: unknown paths got its own "Not Found", in plain text."""
    from starlette.routing import Match

    app = served().app
    own = {"type": "http", "method": "GET", "path": "/docs.json", "root_path": "", "headers": []}
    assert all(route.matches(own)[0] == Match.NONE for route in app.routes), (
        "BentoML's own view of the routes"
    )
    for method in ("GET", "HEAD", "POST", "PUT"):
        scope = {"type": "http", "method": method, "path": "/nowhere", "root_path": "", "headers": []}
        assert any(route.matches(scope)[0] == Match.FULL for route in app.routes), method
