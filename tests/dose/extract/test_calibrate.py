"""Calibration sees mixes with and without each drum, and its figures come from mixes that were held out."""

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
    made = []
    for i in range(count):
        mix = drum_loop(4.0, seed=i)
        shot = (rng.normal(size=RATE) * np.exp(-np.arange(RATE) / RATE * rng.uniform(5, 60))).astype(
            np.float32
        )
        made.append(Example(mix=mix, stems={"kick": mix * 0.5}, shots={"kick": shot}))
    return made


class Oracle:
    """Stands for an Extractor: one feature tells presence, another tells which of two tries is the truth."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples
        self.asked: list[float] = []

    def segment_features(self, mix: np.ndarray, drums: tuple[str, ...]) -> dict[str, np.ndarray]:
        return {
            drum: confidence.IS_SEGMENT_FEATURE * self.candidates(mix, drum)[0].features for drum in drums
        }

    def candidates(self, mix: np.ndarray, drum: str) -> list[Candidate]:
        (example,) = [
            e for e in self.examples if np.allclose(mix / np.abs(mix).max(), e.mix / np.abs(e.mix).max())
        ]
        there = float(np.abs(mix).max() > 0.75 * np.abs(example.mix).max())
        self.asked.append(there)
        noise = np.random.default_rng(len(self.asked)).normal(0, 0.02, (2, len(confidence.FEATURES)))
        shots = [example.shots[drum], np.sin(np.arange(RATE) * 0.01).astype(np.float32)]
        tries = []
        for right, shot in zip((1.0, 0.0), shots, strict=True):
            features = noise[int(right)] + np.array([right, 0.5, 0.5, 0.5, there, 0.5, 0.5])
            tries.append(
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
        return tries


def test_what_tells_is_learnt():
    examples = _examples(12)
    oracle = Oracle(examples)
    made = calibrate.calibrate(oracle, examples, drums=("kick",))  # type: ignore[arg-type]
    assert oracle.asked == [1.0, 0.0] * 24
    assert made["kick"]["mixes"] == 12
    report = made["kick"]["report"]
    assert report["detected"]["auc"] == 1.0
    assert report["confidence"]["auc"] == 1.0
    assert report["detected"]["base_rate"] == pytest.approx(0.8)
    assert report["confidence"]["base_rate"] == pytest.approx(0.4)
    assert report["confidence"]["count"] == 48
    fitted = confidence.from_json(json.loads(json.dumps(made)))["kick"]
    x = np.array([[1.0, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5], [1.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5]])
    there, absent = fitted.confidence(x)
    assert there > 0.6 > 0.45 > absent
    assert fitted.detected(x)[0] > 0.8 > 0.5 > fitted.detected(x)[1]


def test_distance_knows_neither_gain_nor_lead_in():
    shot = _examples(1)[0].shots["kick"]
    late = np.concatenate([np.zeros(3000, np.float32), 0.1 * shot])[:RATE]
    mine, other = log_spectrogram(shot), log_spectrogram(late)
    assert distance(mine, other) < 1.5
    assert distance(mine, log_spectrogram(np.sin(np.arange(RATE) * 0.01))) > 10


def test_a_bundle_is_calibrated_in_place(bundle_copy):
    extractor = Extractor.load(bundle_copy)
    examples = _examples(3)
    for example in examples:
        example.stems.update(kick=example.mix * 0.9)
    made = calibrate.calibrate(extractor, examples, drums=("kick",))
    opened = bundle.recalibrate(bundle_copy, made)
    assert opened.calibration["kick"]["report"]["detected"]["count"] > 0
    again = Extractor.load(bundle_copy)
    assert set(again.calibration) == {"kick"}
    before = extractor.extract(examples[0].mix, RATE, drums=("kick",)).hits["kick"][0]
    after = again.extract(examples[0].mix, RATE, drums=("kick",)).hits["kick"][0]
    assert (before.raw == after.raw).all()
    assert after.confidence != pytest.approx(before.confidence, abs=1e-6)
