"""The realistic distribution: pure functions of (seed, split, index), balanced as the specification says."""

import dataclasses

import numpy as np
import pytest

from dose.audio import RATE
from dose.rmod.realistic import backing, interference, kit
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.realistic.grooves import TRACKS, GrooveHit
from dose.rmod.realistic.kit import KitSound
from dose.rmod.realistic.mix import draw, render

FULL = RealisticConfig(seconds=2.0, bare=0.0, drum_free=0.0, single_drum=0.0)
PLAIN = KitSound(
    clip="x", semitones=0.0, decay_seconds=None, tilt_db=0.0, dull_db=0.0, level_db=0.0, power=1.0,
    choked=False,
)  # fmt: skip


def test_a_mix_depends_on_its_index_alone(library):
    first, again = (render(draw(FULL, library, "train", 7), library).audio for _ in range(2))
    assert np.array_equal(first, again)
    other = render(draw(FULL, library, "train", 8), library).audio
    assert not np.array_equal(first, other)
    assert draw(FULL, library, "train", 7) != draw(FULL, library, "val", 7)
    assert draw(FULL, library, "train", 7) != draw(dataclasses.replace(FULL, seed=1), library, "train", 7)


def test_clips_are_of_the_split(library):
    ids = {split: {c.id for c in library.clips if c.split == split} for split in ("train", "val", "test")}
    for split in ids:
        for index in range(20):
            spec = draw(FULL, library, split, index)
            used = {s.clip for s in spec.kit.sounds.values()} | {loop.clip for loop in spec.backing.loops}
            assert used <= ids[split]


def test_mixes_are_finite_of_the_right_length_and_never_clip(library):
    for index in range(25):
        mix = render(draw(RealisticConfig(seconds=2.0), library, "train", index), library)
        assert mix.audio.shape == (2 * RATE,)
        assert mix.audio.dtype == np.float32
        assert np.isfinite(mix.audio).all()
        assert 0 < np.abs(mix.audio).max() <= 1.0


def test_shares_of_bare_and_drum_free_mixes(library):
    specs = [draw(RealisticConfig(seconds=0.5), library, "train", i) for i in range(400)]
    free = np.mean([s.groove is None for s in specs])
    bare = np.mean([s.groove is not None and s.backing is None for s in specs])
    assert free == pytest.approx(0.1, abs=0.05)
    assert bare == pytest.approx(0.17, abs=0.06)
    # Without drums there is either music or something that is none.
    assert all((s.backing is None) != (s.interference is None) for s in specs if s.groove is None)


def test_reported_hits_are_those_of_the_tracks_that_sound(library):
    for index in range(10):
        spec = draw(FULL, library, "train", index)
        mix = render(spec, library)
        for track, hits in mix.hits.items():
            assert hits == tuple((h.seconds, h.velocity) for h in spec.groove.hits[track])
    free = RealisticConfig(seconds=1.0, drum_free=1.0, bare=0.0)
    assert render(draw(free, library, "train", 0), library).hits == {}


def test_drums_stand_above_the_backing_as_drawn(library):
    for index in range(20):
        spec = draw(FULL, library, "train", index)
        tracks = kit.render_tracks(spec.kit, spec.groove, library, 2 * RATE)
        drums = np.sum(list(tracks.values()), axis=0)
        other = backing.render_backing(spec.backing, library, 2 * RATE)
        from dose.rmod.realistic.mix import _gain

        rms = lambda x: np.sqrt(np.mean(x.astype(float) ** 2))  # noqa: E731
        if rms(other) > 1e-6 and rms(drums) > 1e-6:
            level = 20 * np.log10(rms(drums) / rms(other * _gain(drums, other, spec.master.drums_db)))
            assert level == pytest.approx(spec.master.drums_db, abs=0.01)


def test_hits_are_placed_to_the_sample_and_louder_with_velocity():
    sound = np.exp(-np.arange(4000) / 500).astype(np.float32)
    hits = (GrooveHit(seconds=0.1, velocity=127), GrooveHit(seconds=0.3, velocity=64))
    track = kit.place(PLAIN, sound, hits, [RATE, RATE], RATE)
    assert np.flatnonzero(track)[0] == int(0.1 * RATE)
    assert track[int(0.1 * RATE)] == pytest.approx(1.0)
    assert track[int(0.3 * RATE)] == pytest.approx(64 / 127, abs=1e-3)


def test_a_choked_hit_ends_at_the_next():
    sound = np.ones(20000, np.float32)
    hits = (GrooveHit(seconds=0.0, velocity=127), GrooveHit(seconds=0.2, velocity=127))
    ends = [int(0.2 * RATE), RATE]
    track = kit.place(PLAIN, sound, hits, ends, RATE)
    assert track[int(0.2 * RATE) - 1] == pytest.approx(0, abs=0.01)
    ringing = kit.place(PLAIN, sound, hits, [RATE, RATE], RATE)
    assert ringing[int(0.2 * RATE) + 10] == pytest.approx(2.0)


def test_soft_hits_are_duller():
    sound = np.zeros(4096, np.float32)
    sound[2048] = 1.0  # an impulse: all frequencies alike
    spec = dataclasses.replace(PLAIN, dull_db=12.0)
    soft = kit.place(spec, sound, (GrooveHit(seconds=0.0, velocity=20),), [4096], 4096)
    loud = kit.place(spec, sound, (GrooveHit(seconds=0.0, velocity=127),), [4096], 4096)

    def brightness(x):
        power = np.abs(np.fft.rfft(x)) ** 2
        return power[len(power) // 2 :].sum() / power.sum()

    assert brightness(soft) < 0.7 * brightness(loud)


def test_a_tilt_raises_highs_and_lowers_lows():
    sound = np.zeros(8192, np.float32)
    sound[4096] = 1.0
    gain_db = 20 * np.log10(np.abs(np.fft.rfft(kit.tilted(sound, 6.0))))
    hz = np.fft.rfftfreq(8192, 1 / RATE)
    assert np.interp(12000, hz, gain_db) == pytest.approx(3, abs=0.5)
    assert np.interp(60, hz, gain_db) == pytest.approx(-3, abs=0.8)
    assert np.interp(1000, hz, gain_db) == pytest.approx(0, abs=0.3)
    assert np.array_equal(kit.tilted(sound, 0.0), sound)


@pytest.mark.parametrize("kind", interference.KINDS)
def test_interference_is_finite_and_its_own_every_time(kind):
    one = interference.render_interference(interference.Interference(kind=kind, seed=1), RATE)
    two = interference.render_interference(interference.Interference(kind=kind, seed=2), RATE)
    assert one.shape == (RATE,)
    assert np.isfinite(one).all()
    assert np.abs(one).max() > 1e-3
    assert not np.array_equal(one, two)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="bare and drum_free"):
        RealisticConfig(bare=0.6, drum_free=0.6)
    with pytest.raises(ValueError, match="seconds"):
        RealisticConfig(seconds=0.0)
    with pytest.raises(ValueError, match="split"):
        draw(FULL, None, "elsewhere", 0)


def test_a_track_without_clips_is_silent(library):
    # This library has drums and instruments only: no claps, toms, cymbals or percussion.
    spec = draw(FULL, library, "train", 0)
    assert set(spec.kit.sounds) <= {"kick", "snare", "closed_hihat", "open_hihat"}
    assert set(render(spec, library).hits) <= set(TRACKS)
