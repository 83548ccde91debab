"""The gate's error rates by simulation. `dose bench gate` plots the whole curves."""

import argparse
import dataclasses

import numpy as np
import pytest
import yaml

from benchmarks import gate as bench
from dose.errors import DoseError
from dose.registry.gate_config import GateConfig
from dose.registry.simulate import ScoreNoise, promotion_rate, simulate


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_a_thousand_equal_kits_at_most_one_in_twenty_is_promoted():
    assert promotion_rate(GateConfig(), ScoreNoise(), 0.0, 1000).any_drum <= 0.05


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_drums_that_are_five_percent_better_four_in_five_are_promoted():
    assert promotion_rate(GateConfig(), ScoreNoise(), 0.05, 100).per_drum >= 0.8


def test_equal_kits_are_rarely_promoted_without_margin_and_with_few_items():
    """The hardest case for alpha: no margin, and the coarse bounds of few items."""
    small = GateConfig(
        items=120,
        resamples=300,
        superiority_margin=0.0,
        spectral_tolerance=1.0,
        distributional_tolerance=10.0,
    )
    assert promotion_rate(small, ScoreNoise(), 0.0, 60).any_drum <= 0.15
    assert promotion_rate(small, ScoreNoise(), 0.3, 5).per_drum == 1.0


def test_a_trial_is_a_function_of_its_seed():
    small = GateConfig(items=60, resamples=100)
    assert simulate(small, ScoreNoise(), 0.05, 3) == simulate(small, ScoreNoise(), 0.05, 3)


def test_the_fitted_noise_equals_the_simulated_one():
    rng = np.random.default_rng(0)
    item_effect = rng.normal(0, 0.7, 4000)
    a, b = (np.exp(item_effect + rng.normal(0, 0.2, 4000)) for _ in range(2))
    found = ScoreNoise.fit([(a, b)], "synthetic")
    assert found.seed_sd == pytest.approx(0.2, rel=0.05)
    assert found.item_sd == pytest.approx(0.7, rel=0.05)
    with pytest.raises(DoseError, match="the same model"):
        ScoreNoise.fit([(a, a)], "synthetic")
    with pytest.raises(DoseError, match="no drum with 8"):
        ScoreNoise.fit([(a[:3], b[:3])], "synthetic")


def test_the_benchmark_reads_pairs_by_item_and_plots_its_curves(tmp_path, monkeypatch):
    folder = tmp_path / "items"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for system in bench.PAIR:
        lines = [f"{i},{np.exp(rng.normal()):.6g}" for i in range(20)] + ["20,"]
        (folder / f"kick-{system}.csv").write_text("\n".join(["index,mss", *lines]))
    ((a, b),) = bench.pairs(folder)
    assert len(a) == len(b) == 20

    gate = dataclasses.asdict(GateConfig(items=40, resamples=100))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"retrain": {"gate": gate}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "SIZES", (40, 60))
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    found = bench.run(
        parser.parse_args(["--nulls", "2", "--trials", "2", "--items", str(folder), "--plot", "p.png"])
    )
    assert found["noise"]["source"] == str(folder)
    assert 0 <= found["null_promotions"] <= 1
    assert (tmp_path / "p.png").stat().st_size > 5000
