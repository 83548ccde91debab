"""The promotion gate on synthetic scores."""

import dataclasses

import numpy as np
import pytest

from dose.errors import DoseError
from dose.metrics.bootstrap import resamples
from dose.metrics.kad import kad, median_distance
from dose.registry import paired_bootstrap
from dose.registry.gate import (
    Evidence,
    ModelScores,
    budget_reasons,
    decide,
    distributional,
    inferiority_reasons,
    spectral,
    spectrally_inferior,
)
from dose.registry.gate_config import Budgets, GateConfig

ITEMS = 200
CONFIG = GateConfig(items=ITEMS, resamples=300)


@pytest.fixture(scope="module")
def reference():
    return np.random.default_rng(0).normal(size=(ITEMS, 1, 4)).astype(np.float32)


def scores(reference, *, seed=1, better=0.0, seed_sd=0.05, offset=0.6, **other):
    rng = np.random.default_rng(seed)
    item_effect = np.random.default_rng(99).normal(0, 0.8, ITEMS)  # the items are the same for every model
    return ModelScores(
        mss=(1 - better) * np.exp(item_effect + rng.normal(0, seed_sd, ITEMS)),
        embeddings=(reference + offset + rng.normal(0, 0.3, reference.shape)).astype(np.float32),
        **{"seconds": 1.0, "size_mb": 10.0, **other},
    )


def verdict(reference, champion, challenger, config=CONFIG):
    return decide(config, {"kick": champion}, {"kick": challenger}, {"kick": reference})["kick"]


def test_a_clear_improvement_is_promoted(reference):
    found = verdict(reference, scores(reference), scores(reference, seed=2, better=0.1))
    assert found.promote
    assert found.reasons == ()
    assert found.evidence["spectral"].improvement == pytest.approx(0.1, abs=0.02)
    assert found.evidence["spectral"].superiority_bound < found.evidence["spectral"].improvement


def test_the_same_model_is_not_promoted(reference):
    one = scores(reference)
    found = verdict(reference, one, one)
    assert not found.promote
    assert found.evidence["spectral"].improvement == 0
    assert found.evidence["distributional"].improvement == 0
    assert "not superior" in found.reasons[0]


def test_superiority_in_kad_suffices_and_inferiority_in_kad_rules_out(reference):
    closer = verdict(reference, scores(reference, offset=1.0), scores(reference, seed=2, offset=0.3))
    assert closer.promote
    assert closer.evidence["distributional"].superiority_bound > CONFIG.superiority_margin
    further = verdict(
        reference, scores(reference, offset=0.6), scores(reference, seed=2, better=0.2, offset=0.9)
    )
    assert further.evidence["spectral"].superiority_bound > CONFIG.superiority_margin
    assert not further.promote
    assert "distributional" in further.reasons[0]


def test_inferiority_in_mss_rules_out_what_kad_would_promote(reference):
    found = verdict(
        reference, scores(reference, offset=1.0), scores(reference, seed=2, better=-0.1, offset=0.3)
    )
    assert not found.promote
    assert [r for r in found.reasons if "spectral family" in r]


def test_the_short_cut_agrees_with_the_whole_verdict(reference):
    champion = scores(reference, seed_sd=0.2)
    seen = set()
    for seed in range(2, 22):
        challenger = scores(reference, seed=seed, seed_sd=0.2, better=0.02 * (seed % 4 - 2))
        found = verdict(reference, champion, challenger)
        short = spectrally_inferior(CONFIG, champion, challenger)
        assert short == any("spectral family" in reason for reason in found.reasons)
        seen.add(short)
    assert seen == {False, True}


def test_an_improvement_within_the_margin_is_not_superior(reference):
    champion, challenger = scores(reference), scores(reference, seed=2, better=0.1)
    strict = dataclasses.replace(CONFIG, superiority_margin=0.15)
    assert not verdict(reference, champion, challenger, strict).promote


@pytest.mark.parametrize(
    ("cost", "word"), [({"seconds": 1.5}, "times the champion's"), ({"size_mb": 300.0}, "MB are allowed")]
)
def test_time_and_size_have_budgets(reference, cost, word):
    found = verdict(reference, scores(reference), scores(reference, seed=2, better=0.1, **cost))
    assert not found.promote
    assert word in " ".join(found.reasons)
    slow = dataclasses.replace(CONFIG, budgets=Budgets(latency_s=0.5))
    assert "0.50 s are allowed" in " ".join(
        verdict(reference, scores(reference), scores(reference), slow).reasons
    )


def test_a_failed_behaviour_check_is_a_reason(reference):
    found = verdict(
        reference, scores(reference), scores(reference, seed=2, better=0.1, faults=("It is late.",))
    )
    assert not found.promote
    assert found.reasons == ("It is late.",)


def test_every_drum_has_its_own_verdict(reference):
    better, same = scores(reference, seed=2, better=0.1), scores(reference)
    found = decide(
        CONFIG,
        dict.fromkeys(("kick", "snare"), scores(reference)),
        {"kick": better, "snare": same},
        dict.fromkeys(("kick", "snare"), reference),
    )
    assert {d: v.promote for d, v in found.items()} == {"kick": True, "snare": False}


def test_more_drums_lower_the_superiority_bound(reference):
    champion, challenger = scores(reference), scores(reference, seed=2, better=0.1)
    drums = ("kick", "snare", "hihat")
    three = decide(
        CONFIG,
        dict.fromkeys(drums, champion),
        dict.fromkeys(drums, challenger),
        dict.fromkeys(drums, reference),
    )
    alone = verdict(reference, champion, challenger)
    assert three["kick"].evidence["spectral"].superiority_bound < alone.evidence["spectral"].superiority_bound


def test_pairing_makes_small_improvements_detectable():
    rng = np.random.default_rng(3)
    item_effect = rng.normal(0, 1.0, ITEMS)
    a, b = np.exp(item_effect), 0.97 * np.exp(item_effect + rng.normal(0, 0.02, ITEMS))
    counts = resamples(ITEMS, 300, 0)
    assert spectral(a, b, counts, 0.01).superiority_bound > 0.02
    assert spectral(a, rng.permutation(b), counts, 0.01).superiority_bound < 0


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
    assert found.superiority_bound == pytest.approx(np.percentile(slow, 10))
    assert found.non_inferiority_bound == pytest.approx(np.percentile(slow, 5))
    assert found.items == 29


def test_a_distance_near_zero_is_measured_against_the_floor(reference):
    counts = resamples(ITEMS, 100, 0)
    near, nearer = reference + 0.02, reference + 0.01
    small = distributional(near, nearer, reference, counts, 0.05, floor=10.0)
    assert abs(small.improvement) < 0.01


@pytest.mark.parametrize("windows", [1, 3])
def test_the_change_of_kad_equals_both_models_own_kad_subtracted(windows, monkeypatch):
    monkeypatch.setattr(paired_bootstrap, "BLOCK_WINDOWS", 20)  # several blocks
    rng = np.random.default_rng(5)
    reference, one, other = (rng.normal(i, 1, (50, windows, 4)).astype(np.float32) for i in (0, 0.5, 0.8))
    counts = resamples(50, 40, 0)
    width = median_distance(reference.reshape(-1, 4))
    slow = [kad(x, reference, counts, bandwidth=width) for x in (one, other)]
    found = paired_bootstrap.kad_change(one, other, reference, counts)
    assert found.old == pytest.approx(slow[0].value, rel=1e-4)
    assert found.new == pytest.approx(slow[1].value, rel=1e-4)
    np.testing.assert_allclose(
        found.replicates, slow[0].replicates - slow[1].replicates, rtol=1e-3, atol=1e-4
    )
    with pytest.raises(DoseError, match="not of one shape"):
        paired_bootstrap.kad_change(one[1:], other, reference, counts)
    one[3] = np.nan
    with pytest.raises(DoseError, match="not finite"):
        paired_bootstrap.kad_change(one, other, reference, counts)


def test_scores_of_other_items_are_refused(reference):
    one = scores(reference)
    other = dataclasses.replace(one, mss=one.mss[:-1])
    with pytest.raises(DoseError, match="not scored on the same items"):
        verdict(reference, one, other)
    empty = dataclasses.replace(one, mss=np.full(ITEMS, np.nan))
    with pytest.raises(DoseError, match="Fewer than 2"):
        verdict(reference, one, empty)


@pytest.mark.parametrize(
    "wrong", [{"items": 2}, {"alpha": 0.7}, {"superiority_margin": -0.1}, {"kad_floor": 0.0}]
)
def test_contradictory_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        GateConfig(**wrong)


def test_a_worse_model_has_a_negative_improvement():
    champion = np.exp(np.linspace(-1, 1, 30))
    assert spectral(champion, 2 * champion, resamples(30, 100, 0), 0.05).improvement == pytest.approx(-1)


def test_two_common_items_are_enough_and_a_resample_without_them_is_left_out():
    champion, challenger = np.array([1.0, 2.0, np.nan]), np.array([0.5, 1.0, 1.0])
    counts = np.array([[1, 1, 1], [0, 0, 3], [2, 0, 1]])
    found = spectral(champion, challenger, counts, 0.05)
    assert found.items == 2
    assert found.superiority_bound == pytest.approx(0.5)


def test_the_distributional_bounds_are_those_of_the_centred_bootstrap(reference):
    rng = np.random.default_rng(6)
    one, other = (reference + rng.normal(i, 0.3, reference.shape).astype(np.float32) for i in (0.8, 0.5))
    counts = resamples(ITEMS, 200, 0)
    change = paired_bootstrap.kad_change(one, other, reference, counts)
    scaled = change.replicates / change.old
    improvement = (change.old - change.new) / change.old
    centred = scaled - np.median(scaled) + improvement
    found = distributional(one, other, reference, counts, 0.02, floor=1e-6)
    assert found.improvement == pytest.approx(improvement)
    assert found.superiority_bound == pytest.approx(np.percentile(centred, 2))
    assert found.non_inferiority_bound == pytest.approx(np.percentile(centred, 5))
    assert found.items == ITEMS


def test_alpha_is_divided_over_drums_and_families(reference):
    champion, challenger = scores(reference), scores(reference, seed=2, better=0.1)
    drums = ("kick", "snare", "hihat")
    found = decide(
        CONFIG,
        dict.fromkeys(drums, champion),
        dict.fromkeys(drums, challenger),
        dict.fromkeys(drums, reference),
    )
    counts = resamples(ITEMS, CONFIG.resamples, CONFIG.seed)
    expected = spectral(champion.mss, challenger.mss, counts, CONFIG.alpha / 6)
    assert found["kick"].evidence["spectral"].superiority_bound == pytest.approx(expected.superiority_bound)


@pytest.mark.parametrize(
    ("superiority", "non_inferiority", "reasons"),
    [(0.011, -0.019, 0), (0.01, -0.019, 1), (0.011, -0.02, 1), (0.01, -0.02, 2)],
)
def test_a_bound_must_lie_beyond_its_margin(superiority, non_inferiority, reasons):
    config = GateConfig(superiority_margin=0.01, spectral_tolerance=0.02)
    evidence = Evidence(
        improvement=0.05,
        superiority_bound=superiority,
        non_inferiority_bound=non_inferiority,
        items=9,
    )
    assert len(inferiority_reasons(config, {"spectral": evidence})) == reasons


def test_the_latency_limits_are_absolute_and_relative_to_the_champion(reference):
    config = GateConfig(budgets=Budgets(latency_ratio=1.5, latency_s=5.0, size_mb=10.0))
    champion = scores(reference, seconds=2.0)
    assert budget_reasons(config, champion, scores(reference, seconds=3.0)) == []
    assert budget_reasons(config, champion, scores(reference, seconds=3.2)) == [
        "It takes 1.60 times the champion's time; 1.50 times are allowed."
    ]
    assert budget_reasons(config, scores(reference, seconds=4.0), scores(reference, seconds=5.0)) == []
    assert len(budget_reasons(config, scores(reference, seconds=4.0), scores(reference, seconds=5.1))) == 1
