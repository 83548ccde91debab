import collections

import numpy as np
import pytest

from dose.sources.cleaning import clean
from dose.sources.synth import parts
from dose.sources.synth.parts import draw
from dose.sources.synth.procedural import source_items, synthesise, variant_of


def test_each_clip_depends_on_seed_drum_split_and_index_alone():
    first = synthesise(1, "snare", "train", 5)
    synthesise(1, "kick", "train", 6)
    assert np.array_equal(first, synthesise(1, "snare", "train", 5))
    others = [(2, "snare", "train", 5), (1, "snare", "val", 5), (1, "snare", "train", 6)]
    assert not any(np.array_equal(first, synthesise(*other)) for other in others)


def test_draws_have_the_quantiles_of_the_table():
    rng = np.random.default_rng(0)
    drawn = [draw(rng, (69, 173, 469)) for _ in range(20000)]
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx([69, 173, 469], rel=0.05)
    assert min(drawn) > 0


def test_counts_variants_and_groups():
    made = list(source_items(0, {"train": 10, "val": 5, "test": 5}))
    assert collections.Counter((t.cls, t.split) for t in made)["kick", "train"] == 10
    assert len(made) == 140
    assert {(t.split, t.group) for t in made} == {(s, f"procedural-{s}") for s in ("train", "val", "test")}
    assert [variant_of("hihat", i) for i in range(10)].count("open") == 4
    assert variant_of("kick", 3) == ""


@pytest.mark.parametrize("drum", ["kick", "snare", "hihat", "clap", "tom", "cymbal", "percussion"])
def test_drums_sound_like_their_class(drum):
    """Kicks are low, hats are high, snares between; all decay and can be cleaned."""
    centroids = []
    for i in range(30):
        sound = clean(synthesise(0, drum, "train", i), "oneshot", "x", synthetic=True).sound
        power = np.abs(np.fft.rfft(sound)) ** 2
        centroids.append((np.fft.rfftfreq(len(sound), 1 / 44100) * power).sum() / power.sum())
        quarter = len(sound) // 4
        assert (sound[:quarter] ** 2).sum() > (sound[-quarter:] ** 2).sum()
    low, high = {"kick": (20, 800), "snare": (150, 6000), "hihat": (3000, 16000),
                 "clap": (800, 6000), "tom": (50, 1200), "cymbal": (2500, 14000),
                 "percussion": (200, 14000)}[drum]  # fmt: skip
    assert low < np.median(centroids) < high


def test_open_hats_ring_longer_than_closed_ones():
    def decay(sound):
        energy = np.cumsum(sound**2)
        return np.searchsorted(energy, 0.9 * energy[-1])

    lengths = {"open": [], "closed": []}
    for i in range(60):
        lengths[variant_of("hihat", i)].append(decay(synthesise(0, "hihat", "train", i)))
    assert np.median(lengths["open"]) > 1.5 * np.median(lengths["closed"])


def test_many_clips_are_all_different():
    seen = {synthesise(0, "kick", "train", i).tobytes() for i in range(40)}
    assert len(seen) == 40
    assert parts.SAMPLES >= 44100
