"""Issue 17, 10: where channels cancel each other out, their mean holds none of the drums."""

import numpy as np
import pytest
from extract_beat import drum_loop

from dose import audio
from dose.extract.segments import scan
from dose.transcription.transcribe import bundled_network

SOUND = drum_loop(3.0)
MONO = SOUND[0]


@pytest.mark.parametrize(
    "sound", [SOUND, SOUND[:1], np.stack([MONO, 0 * MONO]), np.zeros((2, 100), np.float32)]
)
def test_an_ordinary_mix_is_the_mean_to_the_bit(sound):
    assert np.array_equal(audio.downmix(sound), sound.mean(axis=0))


def test_uncorrelated_channels_are_ordinary():
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 44100)).astype(np.float32)
    assert np.array_equal(audio.downmix(noise), noise.mean(axis=0))


def test_mono_stays():
    assert audio.downmix(MONO) is MONO


@pytest.mark.parametrize("other", [-1.0, -0.97, -0.85])
def test_inverted_channels_are_downmixed_by_their_difference(other):
    heard = audio.downmix(np.stack([MONO, other * MONO]).astype(np.float32))
    assert np.allclose(heard, MONO * (1 - other) / 2, atol=1e-6)


def test_a_stereo_mix_with_one_channel_turned_is_the_mix():
    """A cable with its poles exchanged: turned back, the mean is what it would have been."""
    turned = SOUND * np.array([[1], [-1]], np.float32)
    near = np.stack([MONO + 0.05 * SOUND[1], -MONO + 0.05 * SOUND[1]]).astype(np.float32)
    assert np.allclose(audio.downmix(near), MONO, atol=1e-6)
    if np.vdot(turned.mean(axis=0), turned.mean(axis=0)) < 0.01 * np.vdot(MONO, MONO):
        assert np.allclose(audio.downmix(turned), SOUND.mean(axis=0), atol=1e-6)


def test_of_more_channels_the_loudest_is_used():
    four = np.stack([MONO, -MONO, 0.5 * MONO, -0.5 * MONO]).astype(np.float32)
    assert np.array_equal(audio.downmix(four), four[0])


def test_the_kit_of_an_inverted_mix_is_that_of_the_mono_one(extractor):
    plain = extractor.extract(MONO, 44100)
    turned = extractor.extract(np.stack([MONO, -MONO]), 44100)
    for drum in plain.hits:
        assert np.array_equal(turned.best(drum).audio, plain.best(drum).audio)
        assert turned.best(drum).confidence == plain.best(drum).confidence


def test_onsets_are_found_in_six_inverted_channels():
    six = np.concatenate([MONO[None], -MONO[None]] * 3)
    segments = scan([six], ("kick",), bundled_network()).segments["kick"]
    assert any(segment.onsets for segment in segments)


def test_an_inverted_file_read_as_mono_is_not_silent(tmp_path):
    audio.write(tmp_path / "x.wav", np.stack([MONO, -MONO]), subtype="FLOAT")
    assert np.allclose(audio.read(tmp_path / "x.wav"), MONO, atol=1e-6)
