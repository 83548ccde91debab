"""The Python client against the application: requests, saved kits, retries, errors."""

import contextlib
import io

import pytest
from fake_extractor import FakeExtractor

from dose import audio
from dose.client import Client, ServiceError
from dose.errors import AudioError, DoseError


@pytest.fixture
def connect(on_a_port):
    """A client of the application, which runs on a real port in a thread of this process."""
    with contextlib.ExitStack() as stack:

        def make(extractor=None, key=None, patience=20.0, **changes) -> Client:
            url = on_a_port(extractor, **changes)
            return stack.enter_context(Client(url, key=key, patience=patience))

        yield make


def test_a_loop_becomes_a_folder_of_wavs(connect, loop, tmp_path):
    (tmp_path / "loop.wav").write_bytes(loop)
    kit = connect().extract(tmp_path / "loop.wav", drums=["kick", "snare"], candidates=2, tail=0.2)
    assert list(kit.hits) == ["kick", "snare"]
    best = kit.hits["kick"][0]
    assert (best.seed, best.detected, best.file) == (0, True, "kick_01_0.90.wav")
    assert (best.present, best.borrowed) == (best.detected, best.source_energy_ratio)  # the former names
    assert len(audio.read(io.BytesIO(best.wav))) == pytest.approx(0.2 * audio.RATE, abs=2)
    files = kit.save(tmp_path / "kit")
    assert [f.name for f in files][:2] == ["kick_01_0.90.wav", "kick_02_0.80.wav"]
    assert files[0].read_bytes() == best.wav


def test_a_song_goes_through_a_job_with_progress(connect, loop, tmp_path):
    seen = []
    client = connect(FakeExtractor(seconds=0.6))
    kit = client.extract_song(loop, progress=lambda fraction, stage: seen.append((fraction, stage)))
    assert seen[-1] == (1.0, "done")
    assert len(seen) > 1
    assert {f.suffix for f in kit.save(tmp_path, format="sfz")} == {".wav", ".sfz"}


def test_an_interrupted_wait_cancels_the_job(connect, loop):
    client = connect(FakeExtractor(seconds=5))

    def stop(fraction, stage):
        raise KeyboardInterrupt

    jobs = []
    submit = client.submit
    client.submit = lambda *a, **k: jobs.append(submit(*a, **k)) or jobs[0]
    with pytest.raises(KeyboardInterrupt):
        client.extract_song(loop, progress=stop)
    with pytest.raises(ServiceError, match="cancelled"):
        client.wait(jobs[0])


def test_the_services_error_is_raised(connect):
    client = connect()
    with pytest.raises(ServiceError, match="not a sound file") as error:
        client.extract(b"no sound at all")
    assert error.value.status == 400
    assert error.value.request_id
    with pytest.raises(AudioError, match="does not exist"):
        client.extract("/no/such/file.wav")


def test_it_retries_after_a_429_within_its_patience(connect, loop):
    client = connect(burst=1, rate_per_minute=60)
    assert client.extract(loop).hits
    assert client.extract(loop).hits
    client.patience = 0.1
    with pytest.raises(ServiceError, match="Too many requests"):
        for _ in range(3):
            client.extract(loop)


def test_the_key_is_sent(connect, loop, monkeypatch):
    monkeypatch.setenv("DOSE_API_KEY", "k")
    assert connect().extract(loop).hits


def test_an_unreachable_service_is_named():
    with pytest.raises(ServiceError, match="does not answer"):
        Client("http://127.0.0.1:9", timeout=2).state()


def test_a_kits_repr_is_one_line(connect, loop):
    kit = connect().extract(loop, candidates=3)
    assert repr(kit) == "RemoteKit(fake-1: kick x 3, snare x 3, hihat x 3)"
    assert len(repr(kit.hits["kick"][0])) < 300


def test_a_saved_kit_replaces_no_file_of_the_user(connect, loop, tmp_path):
    """Neither the mix itself is replaced, nor are two kits mixed."""
    client = connect()
    for name in ("kick.wav", "mix.wav"):
        (tmp_path / name).write_bytes(loop)
    with pytest.raises(DoseError, match=r"kick\.wav would be overwritten"):
        client.extract(tmp_path / "kick.wav").save(tmp_path)
    assert (tmp_path / "kick.wav").read_bytes() == loop
    client.extract(tmp_path / "mix.wav", candidates=2).save(tmp_path / "kit", format="sfz,sf2")
    files = client.extract(tmp_path / "mix.wav", drums=["kick"], name="Other").save(
        tmp_path / "kit", format="sfz"
    )
    assert sorted(tmp_path.joinpath("kit").iterdir()) == sorted(files)
    assert (tmp_path / "kit" / "Other.sfz").is_file()
