"""How the confidence of a bundle is judged on mixes it was not fitted to, and drawn."""

import numpy as np
import pytest
from test_calibrate import Oracle, _examples

from benchmarks.calibration import draw
from dose.extract import calibrate, confidence
from dose.extract.candidates import SearchConfig


@pytest.fixture(scope="module")
def told():
    examples = _examples(24)
    fitted = confidence.from_json(calibrate.calibrate(Oracle(examples[:12]), examples[:12], drums=("kick",)))
    fresh = Oracle(examples[12:])
    fresh.calibration, fresh.search = fitted, SearchConfig()
    return calibrate.examine(fresh, examples[12:], drums=("kick",))["kick"]


def test_a_drum_that_is_not_there_is_said_to_be_absent(told):
    assert told["detection_rate"] == {"with": 1.0, "without": 0.0}


def test_errors_and_curves_are_of_the_fresh_mixes(told):
    assert told["detected"]["auc"] == told["confidence"]["auc"] == 1.0
    assert told["detected"]["count"] == 48
    rows = told["detected"]["reliability"]
    by_hand = sum(r["count"] * abs(r["predicted"] - r["observed"]) for r in rows) / sum(
        r["count"] for r in rows
    )
    assert told["detected"]["ece"] == pytest.approx(by_hand, abs=1e-4)
    assert 0 < told["detected"]["ece"] < 0.2


def test_without_calibration_the_slopes_set_by_hand_are_judged():
    examples = _examples(4)
    oracle = Oracle(examples)
    oracle.calibration, oracle.search = {}, SearchConfig()
    told = calibrate.examine(oracle, examples, drums=("kick",))["kick"]
    assert np.isfinite(told["confidence"]["ece"])


def test_the_curves_are_drawn(told, tmp_path):
    draw({"kick": told}, tmp_path / "images" / "curve.png", "made up")
    assert (tmp_path / "images" / "curve.png").read_bytes()[:4] == b"\x89PNG"
