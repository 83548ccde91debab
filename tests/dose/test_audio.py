import io
import struct

import numpy as np
import pytest
import soundfile

from dose import audio
from dose.errors import AudioError

SINE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_read_gives_44100_mono_whatever_the_file(tmp_path, suffix, channels, rate):
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, np.stack([audio.resample(SINE, 44100, rate)] * channels, -1), rate)
    x = audio.read(path)
    assert x.dtype == np.float32
    assert x.ndim == 1
    assert abs(len(x) - 44100) < 3000  # mp3 pads
    assert np.sqrt(np.mean(x**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert audio.probe(path).rate == rate
    assert audio.read(path, mono=False, rate=None).shape[0] == channels


def test_read_is_bounded_and_seeks(tmp_path):
    audio.write(tmp_path / "x.wav", np.arange(44100, dtype=np.float32) / 44100, subtype="FLOAT")
    x = audio.read(tmp_path / "x.wav", start=0.5, max_seconds=0.25)
    assert len(x) == 11025
    assert x[0] == pytest.approx(0.5, abs=1e-4)


def _header_of_0_hz() -> bytes:
    raw = bytearray(audio.wav_bytes(SINE))
    raw[24:28] = struct.pack("<I", 0)
    return bytes(raw)


def _nan() -> bytes:
    return audio.wav_bytes(np.full(100, np.nan, np.float32), subtype="FLOAT")


def _truncated_flac() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, SINE, 44100, format="FLAC")
    return buffer.getvalue()[:60]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"this is a letter, not a sound\n" * 50, "not a sound file"),
        (_header_of_0_hz(), "not a sound file|0 Hz"),
        (_truncated_flac(), "not a sound file|holds no samples"),
        (_nan(), "not finite"),
        (audio.wav_bytes(np.zeros(0, np.float32)), "holds no samples"),
    ],
)
def test_errors_are_one_sentence_with_the_files_name(tmp_path, content, message):
    path = tmp_path / "bad.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=message) as e:
        audio.read(path)
    assert "bad.wav" in str(e.value)
    assert str(e.value).endswith(".")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(AudioError, match="not a file"):
        audio.read(tmp_path)


def test_a_truncated_stream_logs_a_warning(tmp_path, caplog):
    whole, cut = tmp_path / "whole.flac", tmp_path / "cut.flac"
    audio.write(whole, np.random.default_rng(0).normal(0, 0.1, 4 * 44100).astype(np.float32))
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    lengths = [sum(b.shape[1] for b in audio.stream(path)) for path in (whole, cut)]
    assert lengths[0] == 4 * 44100 > lengths[1] > 44100
    assert [r.getMessage() for r in caplog.records] == [
        f"{cut} breaks off after {lengths[1] / 44100:.1f} s of 4.0 s; the part before is used."
    ]


def test_a_truncated_wav_gives_the_frames_that_are_present(tmp_path):
    raw = audio.wav_bytes(SINE)
    (tmp_path / "cut.wav").write_bytes(raw[: len(raw) // 2])
    assert 20000 < len(audio.read(tmp_path / "cut.wav")) < 24000


def test_write_is_whole_or_absent(tmp_path):
    with pytest.raises(TypeError):
        audio.write(tmp_path / "x.nonsense", SINE)
    assert list(tmp_path.iterdir()) == []
    audio.write(tmp_path / "x.wav", np.stack([SINE, SINE]))
    assert soundfile.info(tmp_path / "x.wav").channels == 2


def test_levels_and_lengths():
    assert audio.peak(audio.normalise_peak(SINE, -6.0)) == pytest.approx(10 ** (-6 / 20), rel=1e-5)
    assert not audio.normalise_peak(np.zeros(5, np.float32)).any()
    assert audio.fit_length(SINE, 10).shape == (10,)
    assert audio.fit_length(np.ones((2, 3)), 5)[:, 3:].sum() == 0
    faded = audio.fade_out(np.ones(100, np.float32), 50)
    assert faded[49] == 1
    assert faded[-1] == pytest.approx(0, abs=1e-6)
    assert audio.lead_in(np.r_[np.zeros(7), 1.0, 0.5]) == 7
    assert audio.lead_in(np.zeros(9)) == 0
    assert audio.db(0.0) == -200


@pytest.mark.parametrize("shape", [(4410,), (2, 4410)])
@pytest.mark.parametrize("container", ["FLAC", "OGG", "MP3"])
def test_encoded_bytes_are_a_file_of_that_kind_with_the_same_sound(container, shape):
    sound = np.broadcast_to(0.5 * np.sin(np.arange(4410) * 0.05), shape).astype(np.float32)
    data = audio.encoded(sound, container)
    magic = {"FLAC": (b"fLaC",), "OGG": (b"OggS",), "MP3": (b"ID3", b"\xff\xfb", b"\xff\xfa", b"\xff\xf3")}
    assert data.startswith(magic[container])
    back = audio.read(io.BytesIO(data), mono=False)
    assert len(np.atleast_2d(back)) == len(np.atleast_2d(sound))
    if container == "FLAC":
        assert np.abs(np.atleast_2d(back) - np.atleast_2d(sound)).max() < 1 / 32000
    else:
        top = np.atleast_2d(back)[0, 1000:4000]
        assert np.corrcoef(top, np.atleast_2d(sound)[0, 1000:4000])[0, 1] > 0.95
