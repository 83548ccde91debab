"""The data card's statistics of the realistic distribution, beside the paper's."""

import dataclasses

import numpy as np
import pytest
import tiny_library

from dose import audio
from dose.drums import DRUMS, OTHER_DRUMS
from dose.rmod.card import comparison
from dose.rmod.card.comparison_plot import plot
from dose.rmod.draw import draw_many
from dose.rmod.realistic.kit import render_tracks
from dose.rmod.realistic.mix import draw

SPECS, RENDERED = 60, 6


@pytest.fixture(scope="module")
def whole_library(tmp_path_factory):
    """With claps, toms, cymbals, percussion and both kinds of hats."""
    return tiny_library.make(tmp_path_factory.mktemp("whole"), splits=("test",))


@pytest.fixture(scope="module")
def compared(ranges, whole_library):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "SPECS", SPECS)
        patch.setattr(comparison, "RENDERED", RENDERED)
        return comparison.compare(dataclasses.replace(ranges, test=20), whole_library)


@pytest.fixture(scope="module")
def specs(ranges, whole_library):
    return [draw(ranges.realistic, whole_library, "test", i) for i in range(SPECS)]


def test_every_mix_is_counted_once(compared):
    for side, count in (("paper", 20), ("realistic", SPECS)):
        own = compared[side]
        assert own["count"] == sum(own["classes_per_mix"].values()) == count
    assert sum(compared["realistic"]["kinds"].values()) == SPECS
    kinds = compared["realistic"]["kinds"]
    grooves = kinds["drums and backing"] + kinds["drums alone"]
    assert sum(compared["realistic"]["styles"].values()) == grooves
    assert sum(compared["realistic"]["tempi"]) == grooves


def test_the_papers_statistics_are_those_of_its_specifications(compared, ranges, whole_library):
    paper = compared["paper"]
    assert paper["classes_per_mix"] == {"3": 20}
    drawn = list(draw_many(dataclasses.replace(ranges, test=20), whole_library, "test", 0, 20))
    for drum in DRUMS:
        total = sum(int(k) * n for k, n in paper["hits_per_4_s"][drum].items())
        assert total == sum(len(spec.drums[drum].onsets) for spec in drawn)
    assert len(paper["hats_to_kick_db"]) == RENDERED


def test_the_realistic_statistics_are_those_of_its_specifications(compared, specs, whole_library):
    own = compared["realistic"]
    assert set(own["hits_per_4_s"]) == {*DRUMS, *OTHER_DRUMS}
    kinds = own["kinds"]
    assert kinds["neither"] == sum(spec.interference is not None for spec in specs)
    assert kinds["music without drums"] == sum(s.groove is None and s.backing is not None for s in specs)
    assert own["drums_to_backing_db"] == [
        round(spec.master.drums_db, 1) for spec in specs if spec.groove and spec.backing
    ]
    spec = next(s for s in specs[:RENDERED] if s.groove and s.groove.hits["kick"] and _hats(s))
    tracks = render_tracks(spec.kit, spec.groove, whole_library, int(spec.seconds * audio.RATE))
    peak = max(np.abs(tracks[name]).max() for name in comparison.HATS if name in tracks)
    assert own["hats_to_kick_db"][0] == pytest.approx(
        20 * np.log10(peak / np.abs(tracks["kick"]).max()), abs=0.1
    )


def test_the_difference_shows(compared):
    """Grooves stand on a grid and strike sounds together; the paper's hits are anywhere."""
    together = {
        side: 1 - found["struck_together"]["1"] / sum(found["struck_together"].values())
        for side, found in compared.items()
        if side in ("paper", "realistic")
    }
    assert together["realistic"] > 2 * together["paper"]
    kicks, snares = (np.array(compared["realistic"]["bar_positions"][d]) for d in ("kick", "snare"))
    assert kicks.argmax() == 0
    assert {4, 12} <= set(np.argsort(snares)[-3:])


def test_counts_by_hand():
    mix = comparison._Mix(
        hits={"kick": np.array([0.5, 2.0]), "snare": np.array([0.51, 1.0]), "tom": np.zeros(0)},
        seconds=4.0,
        beside=2,
    )
    assert comparison._struck(mix) == [2, 1, 1]
    assert comparison._onsets(mix).tolist() == [0.5, 1.0, 2.0]
    polyphony = comparison._polyphony(mix)
    assert len(polyphony) == 40
    assert (polyphony[0], polyphony[6], polyphony[16], polyphony[39]) == (2, 4, 3, 2)
    found = comparison._statistics([mix])
    assert found["hits_per_4_s"] == {"kick": {"2": 1}, "snare": {"2": 1}, "tom": {"0": 1}}
    assert found["classes_per_mix"] == {"2": 1}
    assert sum(found["intervals"]) == 2


def test_mixes_without_drums_are_none_but_silence():
    silent = comparison._Mix(hits={}, seconds=1.0, beside=1)
    found = comparison._statistics([silent])
    assert found["hits_per_4_s"] == {}
    assert found["struck_together"] == {}
    assert found["sounding_at_once"] == {"1": 10}


def test_facts_and_picture(compared):
    rows = dict(comparison.facts(compared))
    assert sum(int(v.removesuffix(" %")) for k, v in rows.items() if "class" not in k) in range(98, 103)
    assert len(plot(compared).axes) == 12


def _hats(spec):
    return any(spec.groove.hits[name] for name in comparison.HATS)
