"""Calibration uses mixes with and without each drum, and reports on held-out mixes."""

import json

import numpy as np
import pytest
import tiny_library
from extract_beat import RATE, drum_loop

from dose import bundle
from dose.extract import Extractor, calibrate, confidence
from dose.extract.calibration_data import (
    ABSENT_SHARE,
    Example,
    Table,
    distance,
    joined,
    log_spectrogram,
    presence_tables,
)
from dose.extract.candidates import Candidate
from dose.rmod.realistic import mix as realistic
from dose.rmod.realistic.config import RealisticConfig


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


def _features(right: float, present: float) -> np.ndarray:
    """Features of which only two say something."""
    telling = {"explained": right, "mean_likelihood": present}
    return np.array([telling.get(name, 0.5) for name in confidence.FEATURES])


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
            features = noise[int(right)] + _features(right, present)
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
    assert report["detected"]["base_rate"] == pytest.approx(1 - ABSENT_SHARE)
    assert report["confidence"]["base_rate"] == pytest.approx((1 - ABSENT_SHARE) / 2)
    assert report["confidence"]["count"] == 48
    fitted = confidence.from_json(json.loads(json.dumps(calibration)))["kick"]
    x = np.stack([_features(1.0, 1.0), _features(1.0, 0.0)])
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


class Listener:
    """A stand-in Extractor whose features are the peak of the mix."""

    def __init__(self) -> None:
        self.peaks: list[float] = []

    def segment_features(self, mix: np.ndarray, drums: tuple[str, ...]) -> dict[str, np.ndarray]:
        assert mix.shape == (1, RATE)
        self.peaks.append(float(np.abs(mix).max()))
        return {drum: np.full(len(confidence.FEATURES), self.peaks[-1]) for drum in drums}


def test_presence_is_what_the_realistic_mixes_hold(tmp_path):
    listener, config, drums = Listener(), RealisticConfig(seconds=1.0), ("kick", "hihat")
    library = tiny_library.make(tmp_path, splits=("val",))
    tables = presence_tables(listener, config, library, drums, 30, first_mix=100)  # type: ignore[arg-type]
    # The same mixes, with fewer drums than music has.
    fewer = RealisticConfig(seconds=1.0, drum_free=0.3, single_drum=0.4)
    hits = [mix.hits for mix in realistic.stream(fewer, library, "val", 0, 30)]
    there = {
        "kick": [bool(h.get("kick")) for h in hits],
        "hihat": [bool(h.get("closed_hihat") or h.get("open_hihat")) for h in hits],
    }
    for drum, table in tables.items():
        # A row for each mix, and where the drum is in it another one of the mix without the drum.
        expected = [
            (100 + i, d) for i, t in enumerate(there[drum]) for d in ((True, False) if t else (False,))
        ]
        assert list(zip(table.mix.tolist(), table.detected.tolist(), strict=True)) == expected
        assert 0 < sum(there[drum]) < 30
        assert not table.correct.any()  # no candidates
        own = table.x[:, 0]
        pairs = [i for i in range(len(own) - 1) if table.mix[i] == table.mix[i + 1]]
        assert len({(own[i], own[i + 1]) for i in pairs}) == len(pairs) > 0


def test_joined_tables_keep_the_rows_of_both():
    def table(rows: int, first_mix: int) -> Table:
        outcome = np.arange(rows) % 2.0
        x = np.arange(rows * 3.0).reshape(rows, 3) + first_mix
        return Table(x=x, detected=outcome, correct=1 - outcome, mix=np.arange(rows) + first_mix)

    one, other = table(4, 0), table(2, 50)
    both = joined(one, other)
    assert both.mix.tolist() == [0, 1, 2, 3, 50, 51]
    for part, keep in ((one, both.mix < 50), (other, both.mix >= 50)):
        again = both.rows(keep)
        assert (again.x == part.x).all()
        assert (again.detected == part.detected).all()
        assert (again.correct == part.correct).all()
    assert both.weight.tolist() == [*one.weight, *other.weight]
