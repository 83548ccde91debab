"""Decoding in blocks gives what decoding at once gives."""

import numpy as np
import pytest
import soundfile

from dose import audio
from dose.errors import AudioError

NOISE = np.random.default_rng(0).normal(0, 0.1, (2, 70_000)).astype(np.float32)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.3, 5.0])
def test_blocks_have_no_seams(tmp_path, rate, seconds):
    path = tmp_path / "x.wav"
    audio.write(path, NOISE, rate, subtype="FLOAT")
    joined = np.concatenate(list(audio.stream(path, seconds=seconds)), axis=1)
    whole = audio.read(path, mono=False)
    assert abs(joined.shape[1] - whole.shape[1]) <= 1
    length = min(joined.shape[1], whole.shape[1])
    assert np.abs(joined[:, :length] - whole[:, :length]).max() < 1e-3


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac"])
def test_every_format_is_the_same_in_blocks_as_at_once(tmp_path, suffix):
    sound = np.tile(NOISE, (1, 8))
    soundfile.write(tmp_path / f"x.{suffix}", sound.T, 44100)
    at_once, _ = soundfile.read(tmp_path / f"x.{suffix}", dtype="float32")
    for made in (
        np.concatenate(list(audio.stream(tmp_path / f"x.{suffix}", seconds=1.1)), axis=1),
        audio.read(tmp_path / f"x.{suffix}", mono=False),
    ):
        assert made.shape == at_once.T.shape
        assert np.abs(made - at_once.T).max() < 1e-6


def test_blocks_stay_small(tmp_path):
    audio.write(tmp_path / "x.wav", NOISE, 44100)
    sizes = [block.shape[1] for block in audio.stream(tmp_path / "x.wav", seconds=0.5)]
    assert sizes == [22050, 22050, 22050, 70_000 - 3 * 22050]


def test_a_flaw_in_a_later_block_is_told(tmp_path):
    broken = NOISE.copy()
    broken[0, -1] = np.inf
    audio.write(tmp_path / "x.wav", broken, subtype="FLOAT")
    blocks = audio.stream(tmp_path / "x.wav", seconds=0.5)
    assert np.isfinite(next(blocks)).all()
    with pytest.raises(AudioError, match=r"x\.wav .* not finite"):
        list(blocks)


def test_what_was_decoded_of_a_truncated_file_stands(tmp_path):
    soundfile.write(tmp_path / "x.flac", NOISE.T, 44100)
    body = (tmp_path / "x.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(body[: len(body) // 2])
    total = sum(block.shape[1] for block in audio.stream(tmp_path / "cut.flac", seconds=0.2))
    assert 10_000 < total < 70_000


@pytest.mark.parametrize("content", [b"", b"not a sound", None])
def test_what_is_no_sound_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"x\.wav"):
        next(audio.stream(tmp_path / "x.wav"))
