"""32 pairs with scores as first measured: a changed definition shows. DOSE_WRITE_GOLDEN=1 writes anew."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from drum_sounds import shot, shots

from dose.drums import DRUMS
from dose.evaluate.scoring import item_scores
from dose.metrics.classifier import features
from dose.metrics.frechet import frechet
from dose.metrics.kernel import kad
from dose.metrics.latents import WINDOWS

GOLDEN = Path(__file__).parents[2] / "golden" / "scores.csv"


def pairs() -> tuple[list[str], np.ndarray, np.ndarray]:
    """32 pairs: other seeds, noise, lateness, a short cut, another class, a filter, silence."""
    names, made, true = [], [], []
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
        made.append(np.asarray(sound, np.float32))
        true.append(reference)
    return names, np.stack(made), np.stack(true)


def scores() -> tuple[list[str], dict[str, np.ndarray]]:
    names, made, true = pairs()
    rng = np.random.default_rng(0)
    found = item_scores(made, true)
    # Distances between sets, of the pairs' own coarse features in place of a network's.
    x, y = (features(a).reshape(32, WINDOWS, -1)[..., :12] for a in (made, true))
    for size in (8, 16, 32):
        pick = rng.permutation(32)[:size]
        found[f"fad_{size}"] = np.full(32, frechet(x[pick].reshape(-1, 12), y[pick].reshape(-1, 12)))
        found[f"kad_{size}"] = np.full(32, kad(x[pick], y[pick]).value)
    return names, found


def test_the_scores_of_the_32_pairs_are_those_on_disk():
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
    assert np.allclose(features(sounds)[1], features(sounds[1:2])[0])
