"""The gate's promises about chance, by simulation. `dose bench gate` draws the whole curves."""

import argparse
import dataclasses

import numpy as np
import pytest
import yaml

from benchmarks import gate as bench
from dose.errors import DoseError
from dose.registry.gate_config import GateConfig
from dose.registry.simulate import Noise, rate, trial


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_equal_challengers_are_promoted_at_most_once_in_twenty():
    assert rate(GateConfig(), Noise(), 0.0, 1000).any_drum <= 0.05


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_percent_better_is_promoted_four_times_in_five():
    assert rate(GateConfig(), Noise(), 0.05, 100).per_drum >= 0.8


def test_without_margin_and_with_few_items_equals_still_rarely_pass():
    """The hardest case for the risk: no margin helps, and bounds of few items are rough."""
    small = GateConfig(items=120, resamples=300, margin=0.0, spectral_loss=1.0, distributional_loss=10.0)
    assert rate(small, Noise(), 0.0, 60).any_drum <= 0.15
    assert rate(small, Noise(), 0.3, 5).per_drum == 1.0


def test_a_trial_is_a_function_of_its_seed():
    small = GateConfig(items=60, resamples=100)
    assert trial(small, Noise(), 0.05, 3) == trial(small, Noise(), 0.05, 3)


def test_noise_is_found_again_from_scores_made_with_it():
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0, 0.7, 4000)
    a, b = (np.exp(difficulty + rng.normal(0, 0.2, 4000)) for _ in range(2))
    found = Noise.fit([(a, b)], "made")
    assert found.luck == pytest.approx(0.2, rel=0.05)
    assert found.difficulty == pytest.approx(0.7, rel=0.05)
    with pytest.raises(DoseError, match="the same model"):
        Noise.fit([(a, a)], "made")
    with pytest.raises(DoseError, match="no drum with 8"):
        Noise.fit([(a[:3], b[:3])], "made")


def test_the_bench_reads_pairs_by_item_and_draws_its_curves(tmp_path, monkeypatch):
    folder = tmp_path / "items"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for row in bench.PAIR:
        lines = [f"{i},{np.exp(rng.normal()):.6g}" for i in range(20)] + ["20,"]
        (folder / f"kick-{row}.csv").write_text("\n".join(["index,mss", *lines]))
    ((a, b),) = bench.pairs(folder)
    assert len(a) == len(b) == 20

    gate = dataclasses.asdict(GateConfig(items=40, resamples=100))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"retrain": {"gate": gate}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "SIZES", (40, 60))
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    found = bench.run(
        parser.parse_args(["--nulls", "2", "--trials", "2", "--items", str(folder), "--picture", "p.png"])
    )
    assert found["noise"]["source"] == str(folder)
    assert 0 <= found["null_promotions"] <= 1
    assert (tmp_path / "p.png").stat().st_size > 5000
