"""Mix specifications against the paper's description; each is a function of (seed, split, index)."""

import dataclasses

import numpy as np
import pytest

from dose import config as params
from dose import files
from dose.drums import DRUMS, INSTRUMENTS
from dose.errors import ConfigError, MissingInputError
from dose.rmod import MixSpec, RmodConfig, draw
from dose.rmod.draw import HALF, MIX, _weighted, draw_many
from dose.rmod.draw_chain import PAN_LAWS
from dose.rmod.parameters import PARAMETERS
from dose.rmod.rng import NAMED, WIDTH, uniforms

COUNT = 2000


@pytest.fixture(scope="module")
def specs(ranges, library):
    return list(draw_many(ranges, library, "train", 0, COUNT))


def near(share, probability, count):
    """Within four standard errors."""
    return abs(share - probability) < 4 * np.sqrt(probability * (1 - probability) / count)


def uniform_on(values, low, high):
    """Inside, and the mean within four standard errors of the middle."""
    values = np.asarray(values)
    slack = 1e-4 * max(abs(low), abs(high))
    inside = values.min() >= low - slack and values.max() <= high + slack
    return inside and abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * values.size)


def test_hits_per_drum(specs):
    for drum, (least, most) in {"kick": (2, 4), "snare": (2, 4), "hihat": (14, 18)}.items():
        counts = [len(r.drums[drum].onsets) for r in specs]
        for n in range(least, most + 1):
            assert near(counts.count(n) / COUNT, 1 / (most - least + 1), COUNT)
        assert set(counts) == set(range(least, most + 1))


def test_onsets_lie_on_the_grid_apart_and_evenly(specs):
    onsets = [r.hihat.onsets for r in specs]
    points = np.concatenate(onsets) / (MIX / 1920)
    np.testing.assert_allclose(points, np.rint(points), atol=0.006)  # rounded to a sample
    assert all(np.diff(o).min() >= 91 for o in onsets)
    assert uniform_on(points, 0, 1919)
    quarters = np.histogram(points, 4, (0, 1920))[0] / points.size
    assert all(near(q, 0.25, points.size) for q in quarters)


def test_velocities_are_normal(specs):
    v = np.concatenate([r.drums[d].velocities for r in specs for d in DRUMS]).astype(float)
    assert v.mean() == pytest.approx(100, abs=4 * 3 / np.sqrt(v.size))
    assert v.std() == pytest.approx(np.sqrt(9 + 1 / 12), rel=0.02)  # rounding adds 1/12
    assert near(np.mean(np.abs(v - 100) <= 3), 0.7567, v.size)  # of N(100, 3), rounded: P(|z| < 3.5 / 3)


def test_instruments_are_absent_with_the_stated_probability(specs):
    for name in INSTRUMENTS:
        assert near(np.mean([getattr(r, name) is None for r in specs]), 0.3, COUNT)
    # And independently of one another.
    assert near(np.mean([not r.loops for r in specs]), 0.3**4, COUNT)


def test_transpositions_and_slices(specs):
    for name in INSTRUMENTS:
        loops = [r.loops[name] for r in specs if name in r.loops]
        low, high = (-6, 2) if name == "bass" else (-12, 12)
        semitones = [loop.semitones for loop in loops]
        assert set(semitones) == set(range(low, high + 1))
        assert abs(np.mean(semitones) - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * len(loops))
        assert near(np.mean([loop.length == HALF for loop in loops]), 0.5, len(loops))


def test_slices_stay_inside_their_clip(specs, library):
    starts = set()
    for r in specs:
        for loop in r.loops.values():
            length = library.audio(loop.clip).size
            assert loop.start % HALF == 0
            assert loop.start < length
            assert length < MIX or loop.start + loop.length <= length or loop.start % MIX == 0
            starts.add((round(length / 44100, 1), loop.start // HALF))
    # 9 s: pieces at 0 and 4 s and their halves; 2.5 s: one piece; 1 s: one.
    assert {s for s in starts if s[0] == 9.0} == {(9.0, k) for k in range(4)}
    assert {s for s in starts if s[0] == 2.5} == {(2.5, 0)}


def test_layering(specs):
    for drum in DRUMS:
        layers = [r.drums[drum].layers for r in specs]
        pairs = [tuple(round(x.weight, 6) for x in two) for two in layers if len(two) == 2]
        assert near(len(pairs) / COUNT, 0.5, COUNT)
        for weights in ((0.8, 0.2), (0.7, 0.3), (0.6, 0.4)):
            assert near(pairs.count(weights) / len(pairs), 1 / 3, len(pairs))
        assert all(one[0].weight == 1 for one in layers if len(one) == 1)
        assert all(a.clip != b.clip for a, b in (two for two in layers if len(two) == 2))


@pytest.mark.parametrize(("kinds", "expected"), [("rpp", 0.25), ("rrr", 1.0), ("ppp", 0.0)])
def test_a_share_of_train_can_be_recordings(kinds, expected):
    chosen = np.array([kind == "r" for kind in kinds])
    u = np.linspace(0, 1, 1200, endpoint=False)
    picked = _weighted(u, chosen, 0.25)
    assert chosen[picked].mean() == pytest.approx(expected)
    counts = [np.bincount(picked, minlength=3)[alike].tolist() for alike in (chosen, ~chosen)]
    assert all(max(c) == min(c) for c in counts if c)  # evenly within each


def test_val_and_test_draw_from_all_clips_alike(ranges, library):
    layering = dataclasses.replace(ranges.layering, recorded=1.0)
    only = dataclasses.replace(ranges, layering=layering)
    assert draw(only, library, "test", 3) == draw(ranges, library, "test", 3)


def test_every_chain_parameter_stays_in_its_range(specs, ranges):
    for name, track in ranges.tracks.items():
        chains = [p.chain for r in specs if (p := getattr(r, name)) is not None]
        assert uniform_on([c.gain_db for c in chains], *track.gain_db)
        assert uniform_on([c.pan for c in chains], *track.pan)
        for field in ("threshold_db", "attack_ms", "release_ms", "ratio"):
            assert uniform_on(
                [getattr(c.compressor, field) for c in chains], *getattr(track.compressor, field)
            )
        assert all(len(c.peaks) == len(track.peaks) for c in chains)
        for i, span in enumerate((track.shelf, *track.peaks)):
            filters = [(c.shelf, *c.peaks)[i] for c in chains]
            assert uniform_on([f.gain_db for f in filters], *span.gain_db)
            assert uniform_on([f.hz for f in filters], *span.hz)
        assert near(np.mean([c.inverted for c in chains]), 0.5, len(chains))
        assert all(near(np.mean([c.law == law for c in chains]), 1 / 3, len(chains)) for law in PAN_LAWS)
        for send in ("reverb", "delay"):
            share = np.mean([getattr(c, send) is not None for c in chains])
            wanted = getattr(track, send)
            assert near(share, wanted, len(chains)) if wanted else share == 0
    assert uniform_on([r.master.gain_db for r in specs], 5, 25)


def test_sends(specs, ranges):
    reverbs = [p.chain.reverb for r in specs for p in (r.snare, r.hihat) if p.chain.reverb]
    delays = [p.chain.delay for r in specs for p in (r.snare, r.hihat) if p.chain.delay]
    for field in ("room", "damping", "width", "level_db"):
        assert uniform_on([getattr(x, field) for x in reverbs], *getattr(ranges.reverb, field))
    for field in ("seconds", "feedback", "level_db"):
        assert uniform_on([getattr(x, field) for x in delays], *getattr(ranges.delay, field))
    both = reverbs + delays
    assert uniform_on([x.highpass_hz for x in both], 1500, 2500)
    assert near(np.mean([x.lowpass_hz is not None for x in both]), 0.01, len(both))


def test_augmentation(specs, ranges):
    plain = [r.kick for r in specs if r.kick.decay_seconds is None]
    augmented = [r.kick for r in specs if r.kick.decay_seconds is not None]
    assert near(len(augmented) / COUNT, ranges.augmentation.probability, COUNT)
    assert all(d.tilt_db == 0 and all(x.semitones == 0 for x in d.layers) for d in plain)
    assert uniform_on(
        np.log([d.decay_seconds for d in augmented]), *np.log(ranges.augmentation.decay_seconds)
    )
    assert uniform_on([d.layers[0].semitones for d in augmented], *ranges.augmentation.semitones)


def test_a_specification_is_a_function_of_its_seed_split_and_index(specs, ranges, library):
    assert draw(ranges, library, "train", 777) == specs[777]
    assert list(draw_many(ranges, library, "train", 250, 260)) == specs[250:260]  # across a block's edge
    assert draw(ranges, library, "val", 777) != specs[777]
    other = dataclasses.replace(ranges, seed=ranges.seed + 1)
    assert draw(other, library, "train", 777).kick.chain != specs[777].kick.chain
    assert draw(ranges, library, "train", 123_456_789).index == 123_456_789


def test_random_numbers_are_counter_based():
    """The numbers are Philox's raw output at counter (., ., index, .) under the key (seed, split)."""
    u = uniforms(7, "val", 40, 42)
    raw = np.random.Philox(key=np.array([7, 1], np.uint64), counter=np.array([0, 0, 41, 0], np.uint64))
    want = (raw.random_raw(WIDTH) >> np.uint64(11)) * 2.0**-53
    np.testing.assert_array_equal(u[1, 0], want)
    assert len(np.unique(uniforms(7, "val", 0, 50))) > 0.9999 * 50 * u[0].size
    assert len(PARAMETERS) == len(set(PARAMETERS)) <= NAMED


def test_one_track_does_not_move_another(specs, ranges, library):
    """More hits, other ranges and other clips of one track leave every other track as it was."""
    kick = dataclasses.replace(ranges.tracks["kick"], gain_db=(0.0, 0.0))
    midi = dataclasses.replace(ranges.midi, hits={**ranges.midi.hits, "hihat": (1, 1)})
    changed = dataclasses.replace(ranges, tracks={**ranges.tracks, "kick": kick}, midi=midi)
    got = draw(changed, library, "train", 5)
    assert got.kick.chain.gain_db == 0.0
    assert (got.snare, got.bass, got.piano, got.master) == (
        specs[5].snare,
        specs[5].bass,
        specs[5].piano,
        specs[5].master,
    )


def test_golden(specs):
    """Pinned: a change here makes every data set that was ever drawn another one."""
    assert [files.hash_json(specs[i].as_dict()) for i in (0, 1, 1999)] == GOLDEN


GOLDEN = ["edf1a72b533d56d9", "c20d47114725d0f8", "805128eb2fd622cf"]


def test_a_dict_and_back(specs):
    for spec in specs[:20]:
        assert MixSpec.from_dict(spec.as_dict()) == spec


def test_a_class_with_no_clips_is_named(ranges, make_library):
    with pytest.raises(MissingInputError, match=r"no snare.*'val'"):
        draw(ranges, make_library([d for d in DRUMS + INSTRUMENTS if d != "snare"], 1), "val", 0)
    with pytest.raises(MissingInputError, match="no vocal"):
        draw(ranges, make_library([d for d in DRUMS + INSTRUMENTS if d != "vocal"], 1), "val", 0)


def test_an_instrument_that_never_plays_needs_no_clips(ranges, make_library):
    silent = dataclasses.replace(ranges, loops=dataclasses.replace(ranges.loops, absent=1.0))
    assert draw(silent, make_library(DRUMS), "val", 0).loops == {}


def test_one_clip_of_a_class_is_never_layered_with_itself(ranges, make_library):
    lonely = make_library(each=1)
    always = dataclasses.replace(ranges, layering=dataclasses.replace(ranges.layering, probability=1.0))
    spec = draw(always, lonely, "train", 0)
    assert all(len(d.layers) == 1 and d.layers[0].weight == 1 for d in spec.drums.values())


def test_coinciding_hits_are_allowed_without_a_gap(ranges, library):
    tight = dataclasses.replace(ranges.midi, grid=20, gap=0)
    onsets = [
        r.hihat.onsets for r in draw_many(dataclasses.replace(ranges, midi=tight), library, "train", 0, 20)
    ]
    assert any(len(set(o)) < len(o) for o in onsets)
    full = dataclasses.replace(ranges.midi, grid=18, gap=1)
    for r in draw_many(dataclasses.replace(ranges, midi=full), library, "train", 0, 20):
        assert len(set(r.hihat.onsets)) == len(r.hihat.onsets)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("loops", "absent"), 1.5, "probability"),
        (("midi", "hits"), {"kick": [2, 4]}, "must name exactly"),
        (("midi", "grid"), 10, "fit the grid"),
        (("master", "gain_db"), [25, 5], r"low <= high"),
        (("layering", "weights"), [], "at least one pair"),
        (("tracks",), {}, "tracks"),
        (("seed",), -1, "seed"),
        (("pitch",), "slow", "must be one of"),
    ],
)
def test_a_wrong_range_is_named(path, value, words, ranges_path):
    section = params.read_section("rmod", ranges_path)
    inner = section
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ConfigError, match=words):
        params.parse(RmodConfig, section, "params.yaml: rmod")
