"""The second pass: candidates of windows, their features, the scorer, and its fit to outcomes."""

import dataclasses

import numpy as np
import pytest

from dose.audio import RATE
from dose.errors import IntegrityError
from dose.transcription.config import SecondPassConfig
from dose.transcription.data import AnnotatedMix
from dose.transcription.front_end import BANDS
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.second_pass import scorer
from dose.transcription.second_pass.candidates import NONE, Candidates, gathered, window_candidates
from dose.transcription.second_pass.features import CLASSES, COUNT, features
from dose.transcription.second_pass.scorer import SecondPass
from dose.transcription.second_pass_training import fit, rows
from dose.transcription.second_pass_training.rows import Rows
from dose.transcription.transcribe import hits_of
from dose.transcription.windows import WINDOW, Window

LIKENESS = slice(2 + CLASSES - 1, 2 + CLASSES - 1 + CLASSES)  # columns of the features
REPETITION = slice(LIKENESS.stop + 1, LIKENESS.stop + 1 + 9)


def made(*hits: tuple[int, float, float], colour: np.ndarray | None = None) -> Candidates:
    """Candidates of (class, seconds, probability); a class rises in bands of its own, or all in `colour`."""
    cls = np.array([c for c, _, _ in hits], np.int8)
    p = np.array([p for _, _, p in hits], np.float32)
    rise = np.zeros((len(hits), BANDS), np.float16)
    for i, c in enumerate(cls):
        rise[i, 8 * c : 8 * c + 8] = 1
    if colour is not None:
        rise[:] = colour
    beside = np.zeros((len(hits), CLASSES), np.float32)
    beside[np.arange(len(hits)), cls] = p
    return Candidates(
        cls=cls,
        seconds=np.array([s for _, s, _ in hits]),
        probability=p,
        velocity=np.full(len(hits), 0.5, np.float32),
        beside=beside,
        after=rise,
        rise=rise,
        before=np.zeros((len(hits), 3), np.float32),
    )


def window(start: int = 0, first: int = 0, last: int = WINDOW) -> Window:
    return Window(audio=np.zeros((1, WINDOW), np.float32), start=start, length=WINDOW, first=first, last=last)


def test_candidates_of_a_window_are_its_own_peaks_with_their_bands():
    onsets, velocities = np.zeros((2, CLASSES, 401))
    onsets[0, [100, 350]], onsets[1, 101], velocities[0, 100] = 0.3, 0.8, 0.7
    onsets[2, 200] = 0.01  # too improbable
    bands = np.full((BANDS, 401), -1.0)
    bands[:24, 100:104] = 0.5
    found = window_candidates(onsets, velocities, bands, window(start=RATE, last=3 * RATE))
    assert [HIT_CLASSES[c] for c in found.cls] == ["kick", "snare"]  # the kick at 3.5 s is another window's
    assert found.seconds == pytest.approx([2.0, 2.01], abs=1e-3)
    assert found.velocity[0] == pytest.approx(0.7)
    assert found.beside[0, :2] == pytest.approx([0.3, 0.8])
    assert found.rise[0, :24] == pytest.approx(1.5)
    assert not found.rise[0, 24:].any()
    assert found.before[0] == pytest.approx([-1.0, -1.0, -1.0])


def test_one_hit_on_a_seam_is_one():
    parts = [made((0, 3.0, 0.9), (1, 3.001, 0.9)), made((0, 3.004, 0.95), (0, 3.2, 0.9)), NONE]
    found = gathered(parts, 0.025)
    assert list(zip(found.cls, found.seconds, strict=True)) == [(0, 3.0), (0, 3.2), (1, 3.001)]
    assert len(gathered([], 0.025).cls) == 0


def test_features_compare_a_candidate_with_all_others():
    # Kicks every half second, of which one is improbable, and a snare.
    found = made(*[(0, 0.5 * i, 0.2 if i == 4 else 0.9) for i in range(9)], (1, 0.25, 0.9))
    x = features(found, 0)
    assert x.shape == (9, COUNT)
    assert x[:, LIKENESS][:, 0] == pytest.approx(1.0)  # like the other kicks
    assert x[:, LIKENESS][:, 1] == pytest.approx(0.0)  # unlike the snare
    assert np.isnan(x[:, LIKENESS][:, 2]).all()  # there is no hi-hat
    assert x[4, REPETITION][:2] == pytest.approx(0.9)  # half a second later and before
    assert np.isnan(x[0, REPETITION][1])  # nothing lies before the first


def test_the_only_candidate_has_nothing_to_be_compared_with():
    x = features(made((3, 1.0, 0.6)), 3)
    assert np.isnan(x[0, LIKENESS]).all()
    assert np.nanmax(x[0, REPETITION]) == 0  # nothing is repeated
    assert np.isfinite(x[0, :2]).all()
    assert features(NONE, 0).shape == (0, COUNT)


def outcomes(count: int, seed: int) -> Rows:
    """Candidates that are right where feature 5 is positive, whatever the network said."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, COUNT)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 5] = rng.normal(size=count)
    cls = (np.arange(count) % 2).astype(np.int8)
    correct = x[:, 5] > 0
    references = np.bincount(cls[correct], minlength=CLASSES)
    return Rows(x=x, cls=cls, correct=correct, counted=np.ones(count, bool), references=references)


@pytest.fixture(scope="module")
def fitted() -> SecondPass:
    done = fit.fit(outcomes(2000, 0), SecondPassConfig(mixes=1, val=1, epochs=100))
    return fit.calibrate(done, outcomes(800, 1))


def test_a_fit_learns_what_decides(fitted):
    scores = fit.scores(fitted, outcomes(800, 2))
    assert min(scores["f_kick"], scores["f_snare"]) > 0.9
    assert scores["f_tom"] == 0  # which no mix had


def test_a_fit_is_a_function_of_its_seed(fitted):
    config = SecondPassConfig(mixes=1, val=1, epochs=1)
    one, same = (fit.fit(outcomes(300, 0), config) for _ in range(2))
    other = fit.fit(outcomes(300, 0), dataclasses.replace(config, seed=5))
    np.testing.assert_array_equal(one.first, same.first)
    assert not np.array_equal(one.first, other.first)


def test_a_second_pass_is_read_as_it_was_written(fitted, tmp_path):
    fitted.save(tmp_path)
    again = SecondPass.load(tmp_path)
    found = made((0, 1.0, 0.9), (1, 1.5, 0.4))
    np.testing.assert_allclose(again(found), fitted(found), atol=1e-6)
    (tmp_path / scorer.WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(IntegrityError, match="second pass"):
        SecondPass.load(tmp_path)
    assert SecondPass.load(tmp_path / "elsewhere") is None


def test_hits_are_the_candidates_that_the_second_pass_believes():
    found = made((0, 1.0, 0.9), (0, 2.0, 0.3), (2, 1.0, 0.6), (3, 1.01, 0.7))
    assert [(h.drum, h.seconds) for h in hits_of(found, None)] == [("kick", 1.0), ("open_hihat", 1.01)]
    turned = hits_of(found, lambda candidates: 1 - candidates.probability)
    assert [(h.drum, h.seconds) for h in turned] == [("kick", 2.0)]
    assert turned[0].probability == pytest.approx(0.7)


def test_outcomes_go_to_the_most_probable_candidate(monkeypatch):
    found = made((0, 1.00, 0.4), (0, 1.03, 0.8), (0, 2.0, 0.9), (1, 1.0, 0.5))
    monkeypatch.setattr(rows, "candidates", lambda blocks, net: found)
    hits = dict.fromkeys(HIT_CLASSES, ()) | {
        "kick": ((1.01, 90), (2.0, 90), (3.5, 90)),
        "snare": ((1.0, 20),),
    }
    audible = {c: (True,) * len(h) for c, h in hits.items()} | {"snare": (False,)}
    mix = AnnotatedMix(audio=np.zeros(5 * RATE, np.float32), hits=hits, audible=audible)
    made_rows = rows.rows_of(None, mix, 3.0)
    assert made_rows.correct.tolist() == [False, True, True, True]
    assert made_rows.counted.tolist() == [True, True, True, False]  # nobody hears the snare
    assert made_rows.references[:2].tolist() == [2, 1]  # the third kick lies beyond 3 s
