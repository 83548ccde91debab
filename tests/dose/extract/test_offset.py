"""Issue 17, 11: an offset makes kicks three times as long; other sound is unchanged."""

import numpy as np
import pytest

from dose import audio
from dose.audio import RATE
from dose.extract.offset import has_offset, without_offset
from dose.extract.segments import scan
from dose.sources.shipped import DEMO
from dose.transcription.transcribe import bundled_network


@pytest.fixture(scope="module")
def loop():
    return audio.read(DEMO / "loop_garzul.flac", mono=False)


def _cut(sound, size):
    return [sound[:, i : i + size] for i in range(0, sound.shape[1], size)]


@pytest.mark.parametrize("path", sorted(DEMO.glob("*.flac")), ids=lambda p: p.stem)
def test_sound_without_offset_is_unchanged_to_the_bit(path):
    sound = audio.read(path, mono=False)
    for size in (5000, 2 * RATE, 20 * RATE):
        passed = np.concatenate(list(without_offset(_cut(sound, size))), axis=1)
        assert np.array_equal(passed, sound)


@pytest.mark.parametrize("offset", [0.01, 0.05, 0.3, -0.3])
@pytest.mark.parametrize("size", [5000, 3 * RATE, 60 * RATE])
def test_an_offset_is_removed_without_click_or_seam(loop, offset, size):
    """What is left is the loop without its offset, also around the edges of blocks and at the start."""
    given = (0.6 * loop + offset).astype(np.float32)
    left = np.concatenate(list(without_offset(_cut(given, size))), axis=1)
    assert left.shape == given.shape
    assert abs(left.mean()) < 2e-4
    # The phase of the lowest notes moves by a few degrees; an edge would stand out of that.
    assert np.abs(left - 0.6 * loop).max() < 0.12
    assert np.abs(np.diff(left - 0.6 * loop)).max() < 0.01


def test_an_offset_in_one_channel_or_of_both_signs_is_removed(loop):
    for offsets in ([0.2, 0.0], [0.2, -0.2]):
        given = (np.repeat(loop, 2, axis=0) * 0.6 + np.array(offsets)[:, None]).astype(np.float32)
        assert has_offset(given)
        left = np.concatenate(list(without_offset([given])), axis=1)
        assert np.abs(left.mean(axis=1)).max() < 1e-4


def test_a_later_offset_is_removed_from_its_block_on(loop):
    later = np.concatenate([loop, (0.6 * loop + 0.3).astype(np.float32)], axis=1)
    left = np.concatenate(list(without_offset(_cut(later, 4 * RATE))), axis=1)
    assert np.array_equal(left[:, : 8 * RATE], loop[:, : 8 * RATE])
    assert abs(left[:, 9 * RATE :].mean()) < 1e-3


def test_leading_silence_does_not_hide_an_offset(loop):
    given = np.concatenate([np.zeros((1, 10 * RATE), np.float32), 0.6 * loop + 0.3], axis=1)
    assert has_offset(given.astype(np.float32))


def test_an_offset_alone_is_silence():
    scanned = scan([np.full((1, 5 * RATE), 0.3, np.float32)], ("kick",), bundled_network())
    assert scanned.peak < 1e-4


def test_segments_are_the_same_with_an_offset(loop):
    """Features, of which the lowest band held the offset, and onsets."""
    plain = scan([0.6 * loop], ("kick", "hihat"), bundled_network())
    with_offset = scan([(0.6 * loop + 0.3).astype(np.float32)], ("kick", "hihat"), bundled_network())
    assert with_offset.features == pytest.approx(plain.features, abs=0.5)
    for drum in ("kick", "hihat"):
        assert [w.start for w in with_offset.segments[drum]] == [w.start for w in plain.segments[drum]]
        for a, b in zip(with_offset.segments[drum], plain.segments[drum], strict=True):
            assert a.score == pytest.approx(b.score, abs=0.05)


@pytest.mark.parametrize("drift", ["ramp", "turn"])
def test_a_drifting_offset_is_removed(loop, drift):
    """Its mean over a whole block is zero."""
    size = loop.shape[-1]
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    offset = ramp if drift == "ramp" else np.where(ramp < 0, np.float32(0.4), np.float32(-0.4))
    for gain in (1.0, 0.01):  # a quiet recording too
        assert has_offset(np.atleast_2d(gain * (0.4 * loop + offset)))
    assert not has_offset(np.atleast_2d(loop))
