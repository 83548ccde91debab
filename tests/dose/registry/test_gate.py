"""The rule of promotion, on scores made for the purpose."""

import dataclasses

import numpy as np
import pytest

from dose.errors import DoseError
from dose.metrics.bootstrap import resamples
from dose.metrics.kad import kad, median_distance
from dose.registry import paired_bootstrap
from dose.registry.gate import ModelScores, distributional, forbidden, judge, spectral, table
from dose.registry.gate_config import Budgets, GateConfig

ITEMS = 200
CONFIG = GateConfig(items=ITEMS, resamples=300)


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).normal(size=(ITEMS, 1, 4)).astype(np.float32)


def scores(truth, *, seed=1, better=0.0, luck=0.05, offset=0.6, **other):
    rng = np.random.default_rng(seed)
    difficulty = np.random.default_rng(99).normal(0, 0.8, ITEMS)  # the items are the same for every model
    return ModelScores(
        mss=(1 - better) * np.exp(difficulty + rng.normal(0, luck, ITEMS)),
        embeddings=(truth + offset + rng.normal(0, 0.3, truth.shape)).astype(np.float32),
        **{"seconds": 1.0, "size_mb": 10.0, **other},
    )


def verdict(truth, champion, challenger, config=CONFIG):
    return judge(config, {"kick": champion}, {"kick": challenger}, {"kick": truth})["kick"]


def test_a_clear_improvement_is_promoted_with_no_reason_against(truth):
    found = verdict(truth, scores(truth), scores(truth, seed=2, better=0.1))
    assert found.promote
    assert found.reasons == ()
    assert found.evidence["spectral"].value == pytest.approx(0.1, abs=0.02)
    assert found.evidence["spectral"].sure < found.evidence["spectral"].value


def test_the_same_model_is_kept(truth):
    one = scores(truth)
    found = verdict(truth, one, one)
    assert not found.promote
    assert found.evidence["spectral"].value == 0
    assert found.evidence["distributional"].value == 0
    assert "not surely better" in found.reasons[0]


def test_a_better_distribution_alone_is_enough_and_a_worse_one_forbids(truth):
    closer = verdict(truth, scores(truth, offset=1.0), scores(truth, seed=2, offset=0.3))
    assert closer.promote
    assert closer.evidence["distributional"].sure > CONFIG.margin
    further = verdict(truth, scores(truth, offset=0.6), scores(truth, seed=2, better=0.2, offset=0.9))
    assert further.evidence["spectral"].sure > CONFIG.margin
    assert not further.promote
    assert "distributional" in further.reasons[0]


def test_a_loss_in_mss_forbids_what_the_distribution_would_allow(truth):
    found = verdict(truth, scores(truth, offset=1.0), scores(truth, seed=2, better=-0.1, offset=0.3))
    assert not found.promote
    assert [r for r in found.reasons if "spectral family" in r]


def test_what_the_short_cut_forbids_the_whole_verdict_forbids(truth):
    champion = scores(truth, luck=0.2)
    seen = set()
    for seed in range(2, 22):
        challenger = scores(truth, seed=seed, luck=0.2, better=0.02 * (seed % 4 - 2))
        found = verdict(truth, champion, challenger)
        short = forbidden(CONFIG, champion, challenger)
        assert short == any("spectral family" in reason for reason in found.reasons)
        seen.add(short)
    assert seen == {False, True}


def test_an_improvement_within_the_margin_is_no_improvement(truth):
    champion, challenger = scores(truth), scores(truth, seed=2, better=0.1)
    strict = dataclasses.replace(CONFIG, margin=0.15)
    assert not verdict(truth, champion, challenger, strict).promote


@pytest.mark.parametrize(
    ("cost", "word"), [({"seconds": 1.5}, "times the champion's"), ({"size_mb": 300.0}, "MB are allowed")]
)
def test_time_and_size_have_budgets(truth, cost, word):
    found = verdict(truth, scores(truth), scores(truth, seed=2, better=0.1, **cost))
    assert not found.promote
    assert word in " ".join(found.reasons)
    slow = dataclasses.replace(CONFIG, budgets=Budgets(latency_s=0.5))
    assert "0.50 s are allowed" in " ".join(verdict(truth, scores(truth), scores(truth), slow).reasons)


def test_a_broken_behaviour_is_a_reason_in_its_own_words(truth):
    found = verdict(truth, scores(truth), scores(truth, seed=2, better=0.1, broken=("It is late.",)))
    assert not found.promote
    assert found.reasons == ("It is late.",)


def test_every_drum_has_its_own_verdict(truth):
    better, same = scores(truth, seed=2, better=0.1), scores(truth)
    found = judge(
        CONFIG,
        dict.fromkeys(("kick", "snare"), scores(truth)),
        {"kick": better, "snare": same},
        dict.fromkeys(("kick", "snare"), truth),
    )
    assert {d: v.promote for d, v in found.items()} == {"kick": True, "snare": False}
    assert [row[0] for row in table(found)] == ["kick", "kick", "snare", "snare"]


def test_more_drums_ask_for_more_certainty(truth):
    champion, challenger = scores(truth), scores(truth, seed=2, better=0.1)
    drums = ("kick", "snare", "hihat")
    three = judge(
        CONFIG, dict.fromkeys(drums, champion), dict.fromkeys(drums, challenger), dict.fromkeys(drums, truth)
    )
    alone = verdict(truth, champion, challenger)
    assert three["kick"].evidence["spectral"].sure < alone.evidence["spectral"].sure


def test_the_pairing_is_what_makes_small_improvements_visible():
    rng = np.random.default_rng(3)
    difficulty = rng.normal(0, 1.0, ITEMS)
    a, b = np.exp(difficulty), 0.97 * np.exp(difficulty + rng.normal(0, 0.02, ITEMS))
    counts = resamples(ITEMS, 300, 0)
    assert spectral(a, b, counts, 0.01).sure > 0.02
    assert spectral(a, rng.permutation(b), counts, 0.01).sure < 0


def test_the_spectral_bound_equals_a_slow_bootstrap():
    rng = np.random.default_rng(4)
    a, b = np.exp(rng.normal(size=30)), np.exp(rng.normal(size=30))
    a[3] = np.nan  # an item that one of them lacks is no item of either
    counts = resamples(30, 200, 7)
    slow = []
    for row in counts:
        items = [i for i in range(30) for _ in range(row[i]) if i != 3]
        slow.append(1 - np.exp(np.mean([np.log(b[i] / a[i]) for i in items])))
    found = spectral(a, b, counts, 0.1)
    assert found.sure == pytest.approx(np.percentile(slow, 10))
    assert found.held == pytest.approx(np.percentile(slow, 5))
    assert found.n == 29


def test_a_distance_near_zero_is_measured_against_the_floor(truth):
    counts = resamples(ITEMS, 100, 0)
    near, nearer = truth + 0.02, truth + 0.01
    small = distributional(near, nearer, truth, counts, 0.05, floor=10.0)
    assert abs(small.value) < 0.01


@pytest.mark.parametrize("windows", [1, 3])
def test_the_change_of_kad_equals_both_models_own_kad_subtracted(windows, monkeypatch):
    monkeypatch.setattr(paired_bootstrap, "_ROWS", 20)  # several blocks
    rng = np.random.default_rng(5)
    truth, one, other = (rng.normal(i, 1, (50, windows, 4)).astype(np.float32) for i in (0, 0.5, 0.8))
    counts = resamples(50, 40, 0)
    width = median_distance(truth.reshape(-1, 4))
    slow = [kad(x, truth, counts, bandwidth=width) for x in (one, other)]
    found = paired_bootstrap.kad_change(one, other, truth, counts)
    assert found.old == pytest.approx(slow[0].value, rel=1e-4)
    assert found.new == pytest.approx(slow[1].value, rel=1e-4)
    np.testing.assert_allclose(
        found.replicates, slow[0].replicates - slow[1].replicates, rtol=1e-3, atol=1e-4
    )
    with pytest.raises(DoseError, match="not of one shape"):
        paired_bootstrap.kad_change(one[1:], other, truth, counts)
    one[3] = np.nan
    with pytest.raises(DoseError, match="not finite"):
        paired_bootstrap.kad_change(one, other, truth, counts)


def test_scores_of_other_items_are_refused(truth):
    one = scores(truth)
    other = dataclasses.replace(one, mss=one.mss[:-1])
    with pytest.raises(DoseError, match="not scored on the same items"):
        verdict(truth, one, other)
    empty = dataclasses.replace(one, mss=np.full(ITEMS, np.nan))
    with pytest.raises(DoseError, match="Fewer than 2"):
        verdict(truth, one, empty)


@pytest.mark.parametrize("wrong", [{"items": 2}, {"risk": 0.7}, {"margin": -0.1}, {"kad_floor": 0.0}])
def test_a_gate_that_cannot_work_is_refused(wrong):
    with pytest.raises(ValueError):
        GateConfig(**wrong)
