"""Calibration uses mixes with and without each drum, and reports on held-out mixes."""

import json

import numpy as np
import pytest
from extract_beat import RATE, drum_loop

from dose import bundle
from dose.extract import Extractor, calibrate, confidence
from dose.extract.calibration_data import Example, distance, log_spectrogram
from dose.extract.candidates import Candidate


def _examples(count: int) -> list[Example]:
    rng = np.random.default_rng(0)
    calibration = []
    for i in range(count):
        mix = drum_loop(4.0, seed=i)
        shot = (rng.normal(size=RATE) * np.exp(-np.arange(RATE) / RATE * rng.uniform(5, 60))).astype(
            np.float32
        )
        calibration.append(Example(mix=mix, stems={"kick": mix * 0.5}, shots={"kick": shot}))
    return calibration


class Oracle:
    """A stand-in Extractor: one feature is presence, another marks which of two candidates is correct."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples
        self.requests: list[float] = []

    def segment_features(self, mix: np.ndarray, drums: tuple[str, ...]) -> dict[str, np.ndarray]:
        return {
            drum: confidence.IS_SEGMENT_FEATURE * self.candidates(mix, drum)[0].features for drum in drums
        }

    def candidates(self, mix: np.ndarray, drum: str) -> list[Candidate]:
        (example,) = [
            e for e in self.examples if np.allclose(mix / np.abs(mix).max(), e.mix / np.abs(e.mix).max())
        ]
        present = float(np.abs(mix).max() > 0.75 * np.abs(example.mix).max())
        self.requests.append(present)
        noise = np.random.default_rng(len(self.requests)).normal(0, 0.02, (2, len(confidence.FEATURES)))
        shots = [example.shots[drum], np.sin(np.arange(RATE) * 0.01).astype(np.float32)]
        candidates = []
        for right, shot in zip((1.0, 0.0), shots, strict=True):
            features = noise[int(right)] + np.array([right, 0.5, 0.5, 0.5, present, 0.5, 0.5])
            candidates.append(
                Candidate(
                    shot=shot,
                    segment=None,  # type: ignore[arg-type]
                    seed=0,
                    conditioning_fit=right,
                    self_consistency=0.5,
                    source_energy_ratio=0.0,
                    features=features,
                )
            )
        return candidates


def test_informative_features_are_learnt():
    examples = _examples(12)
    oracle = Oracle(examples)
    calibration = calibrate.calibrate(oracle, examples, drums=("kick",))  # type: ignore[arg-type]
    assert oracle.requests == [1.0, 0.0] * 24
    assert calibration["kick"]["mixes"] == 12
    report = calibration["kick"]["report"]
    assert report["detected"]["auc"] == 1.0
    assert report["confidence"]["auc"] == 1.0
    assert report["detected"]["base_rate"] == pytest.approx(0.8)
    assert report["confidence"]["base_rate"] == pytest.approx(0.4)
    assert report["confidence"]["count"] == 48
    fitted = confidence.from_json(json.loads(json.dumps(calibration)))["kick"]
    x = np.array([[1.0, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5], [1.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5]])
    present, absent = fitted.confidence(x)
    assert present > 0.6 > 0.45 > absent
    assert fitted.detected(x)[0] > 0.8 > 0.5 > fitted.detected(x)[1]


def test_distance_ignores_gain_and_lead_in():
    shot = _examples(1)[0].shots["kick"]
    late = np.concatenate([np.zeros(3000, np.float32), 0.1 * shot])[:RATE]
    reference, other = log_spectrogram(shot), log_spectrogram(late)
    assert distance(reference, other) < 1.5
    assert distance(reference, log_spectrogram(np.sin(np.arange(RATE) * 0.01))) > 10


def test_a_bundle_is_calibrated_in_place(bundle_copy):
    extractor = Extractor.load(bundle_copy)
    examples = _examples(3)
    for example in examples:
        example.stems.update(kick=example.mix * 0.9)
    calibration = calibrate.calibrate(extractor, examples, drums=("kick",))
    opened = bundle.recalibrate(bundle_copy, calibration)
    assert opened.calibration["kick"]["report"]["detected"]["count"] > 0
    again = Extractor.load(bundle_copy)
    assert set(again.calibration) == {"kick"}
    before = extractor.extract(examples[0].mix, RATE, drums=("kick",)).hits["kick"][0]
    after = again.extract(examples[0].mix, RATE, drums=("kick",)).hits["kick"][0]
    assert (before.raw == after.raw).all()
    assert after.confidence != pytest.approx(before.confidence, abs=1e-6)
