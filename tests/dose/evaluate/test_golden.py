"""Golden scores of 32 pairs, which detect a changed definition. DOSE_WRITE_GOLDEN=1 rewrites them."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from drum_sounds import shot, shots

from dose.drums import DRUMS
from dose.evaluate.scoring import item_scores
from dose.metrics.embeddings import WINDOWS
from dose.metrics.fad import frechet_distance
from dose.metrics.kad import kad
from dose.metrics.log_mel import log_mel_features

GOLDEN = Path(__file__).parents[2] / "golden" / "scores.csv"


def pairs() -> tuple[list[str], np.ndarray, np.ndarray]:
    """32 pairs: other seeds, noise, delay, truncation, another drum, a filter, silence."""
    names, generated, references = [], [], []
    rng = np.random.default_rng(7)
    for i in range(32):
        drum = DRUMS[i % 3]
        reference = shot(drum, i)
        kind = ("other", "noise", "late", "cut", "class", "dull", "silent", "same")[i % 8]
        sound = {
            "other": lambda d=drum, i=i: shot(d, 1000 + i),
            "noise": lambda r=reference, i=i: (
                r + 0.01 * (1 + i) * rng.standard_normal(44100).astype(np.float32)
            ),
            "late": lambda r=reference, i=i: np.pad(r, (20 * (1 + i), 0))[:44100],
            "cut": lambda r=reference, i=i: np.where(np.arange(44100) < 500 * (1 + i), r, 0),
            "class": lambda d=drum, i=i: shot(DRUMS[(DRUMS.index(d) + 1) % 3], i),
            "dull": lambda r=reference: np.convolve(r, np.ones(16) / 16)[:44100],
            "silent": lambda: np.zeros(44100),
            "same": lambda r=reference: r,
        }[kind]()
        names.append(f"{i:02d} {drum} {kind}")
        generated.append(np.asarray(sound, np.float32))
        references.append(reference)
    return names, np.stack(generated), np.stack(references)


def scores() -> tuple[list[str], dict[str, np.ndarray]]:
    names, generated, references = pairs()
    rng = np.random.default_rng(0)
    found = item_scores(generated, references)
    # Distances between sets, on a part of the log-mel features in place of a network's embeddings.
    x, y = (log_mel_features(a).reshape(32, WINDOWS, -1)[..., :12] for a in (generated, references))
    for size in (8, 16, 32):
        subset = rng.permutation(32)[:size]
        found[f"fad_{size}"] = np.full(
            32, frechet_distance(x[subset].reshape(-1, 12), y[subset].reshape(-1, 12))
        )
        found[f"kad_{size}"] = np.full(32, kad(x[subset], y[subset]).value)
    return names, found


def test_scores_equal_the_golden_ones():
    names, found = scores()
    if os.environ.get("DOSE_WRITE_GOLDEN"):
        with GOLDEN.open("w", newline="") as f:
            writer = csv.writer(f)
            writer.writerow(["pair", *found])
            writer.writerows([n, *(f"{v[i]:.7g}" for v in found.values())] for i, n in enumerate(names))
    with GOLDEN.open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [row.pop("pair") for row in rows] == names
    for metric, values in found.items():
        stored = np.array([float(row[metric]) for row in rows])
        assert values == pytest.approx(stored, rel=1e-4, abs=1e-4, nan_ok=True), metric


def test_identical_pairs_score_zero_and_silent_ones_have_no_attack():
    names, found = scores()
    for i, name in enumerate(names):
        if name.endswith("same"):
            assert all(found[m][i] == 0 for m in ("mss", "mss_log", "lsd_db", "envelope_db", "attack_ms"))
        assert np.isnan(found["attack_ms"][i]) == name.endswith("silent")


def test_features_do_not_depend_on_the_batch():
    sounds = shots("snare", 3)
    assert np.allclose(log_mel_features(sounds)[1], log_mel_features(sounds[1:2])[0])
