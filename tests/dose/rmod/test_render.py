import dataclasses
import hashlib

import numpy as np
import pytest

from dose import audio
from dose.drums import DRUMS
from dose.errors import MissingInputError
from dose.rmod import draw, render
from dose.rmod.draw import draw_many
from dose.rmod.mixer import MIX, level_restoring_gain, pan_gains
from dose.rmod.render import ONE_SHOT, one_shot, place


@pytest.fixture(scope="module")
def specs(ranges, library):
    return list(draw_many(ranges, library, "train", 0, 4))


def test_shapes_levels_and_hits(specs, ranges, library):
    for spec in specs:
        item = render(spec, library, ranges)
        assert (item.mix.shape, item.mix.dtype) == ((2, MIX), np.float32)
        assert np.isfinite(item.mix).all()
        assert 0.05 < audio.peak(item.mix) <= 1.0 + 1e-6  # the limiter's threshold lies at or below 0 dBFS
        for drum in DRUMS:
            assert (item.shots[drum].shape, item.shots[drum].dtype) == ((ONE_SHOT,), np.float32)
            assert audio.peak(item.shots[drum]) == pytest.approx(1.0)
            assert len(item.hits[drum]) == len(getattr(spec, drum).onsets)


def test_the_same_bytes_whatever_was_rendered_before(specs, ranges, library):
    first = [render(r, library, ranges).mix.tobytes() for r in specs]
    assert [render(r, library, ranges).mix.tobytes() for r in reversed(specs)] == first[::-1]


def test_stems_add_up_to_the_mix(specs, ranges, library):
    spec = next(r for r in specs if r.loops)
    item = render(spec, library, ranges, stems=True)
    assert set(item.stems) == set(DRUMS) | set(spec.loops)
    np.testing.assert_allclose(sum(item.stems.values()), item.mix, atol=2e-4)


def test_sends_after_the_limiter(specs, ranges, library):
    late = dataclasses.replace(ranges, master=dataclasses.replace(ranges.master, sends="after"))
    spec = next(r for r in specs if r.snare.chain.reverb or r.hihat.chain.reverb)
    item = render(spec, library, late, stems=True)
    assert not np.array_equal(item.mix, render(spec, library, ranges).mix)
    np.testing.assert_allclose(sum(item.stems.values()), item.mix, atol=2e-4)


def test_drums_only_is_the_same_mix_without_instruments(specs, ranges, library):
    spec = next(r for r in specs if r.loops)
    muted = render(spec, library, ranges, drums_only=True, stems=True)
    empty = dataclasses.replace(spec, bass=None, piano=None, guitar=None, vocal=None)
    assert set(muted.stems) == set(DRUMS)
    np.testing.assert_array_equal(muted.mix, render(empty, library, ranges).mix)


def test_a_hit_cuts_the_tail_of_the_one_before(specs):
    drum = dataclasses.replace(specs[0].kick, onsets=(100, 1100, MIX - 500), velocities=(127, 63, 127))
    track = place(drum, np.ones(ONE_SHOT, np.float32))
    assert not track[:100].any()
    assert (track[100:1100] == 1.0).all()
    assert (track[1100 : 1100 + ONE_SHOT] == 0.5).all()
    assert not track[1100 + ONE_SHOT : MIX - 500].any()
    assert (track[MIX - 500 :] == 1.0).all()


@pytest.mark.parametrize("law", ["linear", "power", "compromise"])
def test_pan_keeps_the_level_and_the_side(law):
    for pan in (0.0, 0.2, 0.5, 0.9, 1.0):
        left, right = pan_gains(pan, law)
        assert left**2 + right**2 == pytest.approx(2)
        assert np.sign(round(right - left, 9)) == np.sign(pan - 0.5)


def test_a_clip_that_has_gone_is_named(specs, ranges, library):
    gone = dataclasses.replace(specs[0].kick.layers[0], clip="0123456789abcdef")
    spec = dataclasses.replace(specs[0], kick=dataclasses.replace(specs[0].kick, layers=(gone,)))
    with pytest.raises(MissingInputError, match="0123456789abcdef"):
        render(spec, library, ranges)


def test_drawn_from_the_split_that_is_asked_for(ranges, library):
    for split in ("train", "val", "test"):
        spec = draw(ranges, library, split, 3)
        used = [layer.clip for d in spec.drums.values() for layer in d.layers]
        used += [loop.clip for loop in spec.loops.values()]
        assert {library.clip(c).split for c in used} == {split}


def test_the_level_of_silence_is_not_restored():
    assert level_restoring_gain(np.zeros(100, np.float32), 0.5) == 1.0
    assert level_restoring_gain(np.full(100, 0.1, np.float32), 0.5) == pytest.approx(5)


def test_golden_bytes_of_the_pure_numpy_parts(specs, library):
    """Layering, fade, level and placement, without the augmentation's compiled filters."""
    digests = []
    for spec in specs:
        drum = dataclasses.replace(spec.hihat, decay_seconds=None, tilt_db=0.0)
        plain = tuple(dataclasses.replace(layer, semitones=0.0) for layer in drum.layers)
        drum = dataclasses.replace(drum, layers=plain)
        # Half of 16 bit: what a library's last bit may change is not the data set.
        track = np.rint(place(drum, one_shot(drum, library)) * 2**14).astype("<i2")
        digests.append(hashlib.sha256(track.tobytes()).hexdigest()[:16])
    assert digests == GOLDEN


def test_golden_levels_of_the_whole(specs, ranges, library):
    """RMS of each second and side, stored; a changed effect shows, a library's rounding does not."""
    got = [np.sqrt((render(r, library, ranges).mix.reshape(2, 4, -1) ** 2).mean(axis=2)) for r in specs]
    np.testing.assert_allclose(np.round(got, 5), LEVELS, rtol=2e-3)


GOLDEN = ["647278432d0cb5c3", "6ccb46ff9e359d2b", "a9e46f886c91591b", "3509e6e90b586f20"]
LEVELS = [
    [[0.20733, 0.20378, 0.20743, 0.20622], [0.21862, 0.21461, 0.21624, 0.21834]],
    [[0.36211, 0.36872, 0.37767, 0.36836], [0.40905, 0.41598, 0.42666, 0.41444]],
    [[0.35209, 0.33165, 0.33585, 0.32629], [0.3665, 0.34494, 0.34974, 0.33762]],
    [[0.3282, 0.30397, 0.29618, 0.30982], [0.35031, 0.33258, 0.32889, 0.33303]],
]
