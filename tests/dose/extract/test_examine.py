"""A bundle's calibration is evaluated on mixes that it was not fitted to, and plotted."""

import numpy as np
import pytest
from test_calibrate import Oracle, _examples

from benchmarks.calibration import plot
from dose.extract import calibrate, confidence
from dose.extract.candidates import SearchConfig


@pytest.fixture(scope="module")
def report():
    examples = _examples(24)
    fitted = confidence.from_json(calibrate.calibrate(Oracle(examples[:12]), examples[:12], drums=("kick",)))
    fresh = Oracle(examples[12:])
    fresh.calibration, fresh.search = fitted, SearchConfig()
    return calibrate.examine(fresh, examples[12:], drums=("kick",))["kick"]


def test_an_absent_drum_is_not_detected(report):
    assert report["detection_rate"] == {"with": 1.0, "without": 0.0}


def test_errors_and_curves_use_the_new_mixes(report):
    assert report["detected"]["auc"] == report["confidence"]["auc"] == 1.0
    assert report["detected"]["count"] == 48
    rows = report["detected"]["reliability"]
    by_hand = sum(r["count"] * abs(r["predicted"] - r["observed"]) for r in rows) / sum(
        r["count"] for r in rows
    )
    assert report["detected"]["ece"] == pytest.approx(by_hand, abs=1e-4)
    assert 0 < report["detected"]["ece"] < 0.2


def test_without_calibration_the_weights_set_by_hand_are_evaluated():
    examples = _examples(4)
    oracle = Oracle(examples)
    oracle.calibration, oracle.search = {}, SearchConfig()
    report = calibrate.examine(oracle, examples, drums=("kick",))["kick"]
    assert np.isfinite(report["confidence"]["ece"])


def test_reliability_is_plotted(report, tmp_path):
    plot({"kick": report}, tmp_path / "images" / "curve.png", "made up")
    assert (tmp_path / "images" / "curve.png").read_bytes()[:4] == b"\x89PNG"
