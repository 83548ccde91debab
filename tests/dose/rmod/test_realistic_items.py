"""Realistic mixes with one-shots: always all three drums, references that sound in the mix."""

import dataclasses

import numpy as np
import pytest

from dose.audio import RATE
from dose.drums import DRUMS
from dose.errors import DoseError
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.realistic_items import LEAST_HITS, evenly_spread, item, realistic_id

CONFIG = RealisticConfig()


@pytest.fixture
def library(library_with_hats):
    return library_with_hats


def test_an_item_is_a_function_of_its_index_and_has_all_drums(library):
    for index in range(4):
        made, again = (item(CONFIG, library, "train", index, seconds=3.0) for _ in range(2))
        assert np.array_equal(made.mix, again.mix)
        assert made.mix.shape == (2, 3 * RATE)
        assert set(made.shots) == set(made.hits) == set(DRUMS)
        for drum in DRUMS:
            assert np.abs(made.shots[drum]).max() == pytest.approx(1.0)
            assert made.shots[drum].shape == (RATE,)
            assert len(made.hits[drum]) >= LEAST_HITS
            assert list(made.hits[drum]) == sorted(made.hits[drum])


def test_without_instruments_the_drums_and_hits_stay(library):
    whole, drums = (item(CONFIG, library, "train", 1, seconds=3.0, drums_only=d) for d in (False, True))
    assert whole.hits == drums.hits
    assert all(np.array_equal(whole.shots[d], drums.shots[d]) for d in DRUMS)
    assert not np.array_equal(whole.mix, drums.mix)


def test_the_reference_is_what_sounds_at_a_hit(library):
    """The test library's kicks are sines under 80 Hz that nothing else resembles."""
    made = item(CONFIG, library, "train", 0, seconds=3.0, drums_only=True)
    start = int(made.hits["kick"][0] * RATE)
    mixed = made.mix[0, start : start + 4000]

    def similarity(sound):
        sound = sound[: len(mixed)]
        products = np.correlate(mixed, sound, "same")
        return np.abs(products).max() / (np.linalg.norm(mixed) * np.linalg.norm(sound))

    assert similarity(made.shots["kick"]) > 0.5 > similarity(made.shots["hihat"])


def test_a_library_without_hats_says_so(make_library):
    library = make_library(each=1)
    with pytest.raises(DoseError, match="hi-hats"):
        item(CONFIG, library, "train", 0, seconds=2.0)


def test_the_identifier_follows_switches_and_library(library, make_library):
    assert realistic_id(CONFIG, library) == realistic_id(CONFIG, library)
    assert realistic_id(CONFIG, library) != realistic_id(dataclasses.replace(CONFIG, seed=1), library)
    assert realistic_id(CONFIG, library) != realistic_id(CONFIG, make_library(each=1))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_a_share_is_spread_evenly(share):
    chosen = [evenly_spread(i, share) for i in range(1000)]
    assert sum(chosen) == 1000 * share
    assert abs(sum(chosen[:100]) - 100 * share) <= 1
