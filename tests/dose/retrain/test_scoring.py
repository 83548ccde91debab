"""ModelScores of an extractor on held-out items, with a stub for the models."""

from types import SimpleNamespace

import numpy as np
import pytest

from dose import audio
from dose.drums import DRUMS
from dose.metrics import mss
from dose.metrics.one_shots import prepare
from dose.registry.gate import ModelScores
from dose.retrain import scoring

RATE = 44100
TIME = np.arange(RATE) / RATE


def decaying_sine(pitch):
    return (0.5 * np.sin(2 * np.pi * pitch * TIME) * np.exp(-10 * TIME)).astype(np.float32)


class StubExtractor:
    """Returns the reference, which it derives from the mix's first sample, detuned by `detune_hz`."""

    drums = DRUMS

    def __init__(self, detune_hz=0.0):
        self.detune_hz = detune_hz

    def extract_consensus(self, mixes, drum, *, samples):
        assert samples == 3
        return np.stack(
            [decaying_sine(100 * int(m[0, 0]) + 20 * DRUMS.index(drum) + self.detune_hz) for m in mixes]
        )

    def extract(self, sound, rate, *, drums, seed=0):
        hit = SimpleNamespace(audio=decaying_sine(60), detected=False)
        return SimpleNamespace(hits=dict.fromkeys(drums, (hit,)))


class Embedder:
    def embed(self, shots):
        return np.abs(shots).mean(axis=1)[:, None, None].astype(np.float32)


def items():
    for i in range(1, 11):
        yield scoring.HeldOutItem(
            mix=np.full((2, 1000), i, np.float32),
            shots={drum: decaying_sine(100 * i + 20 * j) for j, drum in enumerate(DRUMS)},
        )


def test_scores_are_those_of_each_item_in_order():
    sizes = dict.fromkeys(DRUMS, 3.0)
    perfect, reference = scoring.score(StubExtractor(), items, Embedder(), sizes, 3)
    assert all((perfect[drum].mss == 0).all() and len(perfect[drum].mss) == 10 for drum in DRUMS)
    detuned = scoring.score(StubExtractor(5.0), items, Embedder(), sizes, 3)[0]["snare"]
    wanted = [
        mss.mss(prepare(decaying_sine(100 * i + 25)), prepare(decaying_sine(100 * i + 20)))[0]
        for i in range(1, 11)
    ]
    np.testing.assert_allclose(detuned.mss, wanted, rtol=1e-5)
    assert detuned.size_mb == 3.0
    assert detuned.seconds > 0
    np.testing.assert_array_equal(reference["kick"], perfect["kick"].embeddings)


def test_examples_are_the_one_shots_of_the_first_mixes(tmp_path):
    for name, extractor in (("champion", StubExtractor()), ("challenger", StubExtractor(5.0))):
        scoring.write_examples(tmp_path / name, extractor, items, 3)
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.flac")}
    shots = {f"{i}-{drum}.flac" for i in (1, 2) for drum in DRUMS}
    wanted = {f"{folder}/{shot}" for folder in ("champion", "challenger", "reference") for shot in shots}
    assert names == wanted | {"reference/1-mix.flac", "reference/2-mix.flac"}
    true, generated = (audio.read(tmp_path / f / "2-snare.flac") for f in ("reference", "champion"))
    np.testing.assert_allclose(generated, true, atol=1e-3)
    assert np.abs(audio.read(tmp_path / "challenger" / "2-snare.flac") - true).max() > 0.01


def test_saved_scores_are_loaded_unchanged(tmp_path):
    one = ModelScores(
        mss=np.array([1.0, np.nan]), embeddings=np.ones((2, 1, 3), np.float32), seconds=0.5, size_mb=2.0,
        faults=("It is late.",),
    )  # fmt: skip
    scoring.save(tmp_path / "s.npz", {"kick": one, "hihat": one})
    back = scoring.load(tmp_path / "s.npz")
    assert list(back) == ["kick", "hihat"]
    np.testing.assert_array_equal(back["kick"].mss, one.mss)
    assert back["kick"].faults == one.faults
    assert (back["kick"].seconds, back["kick"].size_mb) == (0.5, 2.0)


def test_sizes_are_of_all_of_a_drums_files(tmp_path):
    (tmp_path / "kick").mkdir()
    (tmp_path / "kick" / "a").write_bytes(b"x" * 1000)
    assert scoring.sizes_mb(tmp_path, ("kick",)) == {"kick": pytest.approx(0.001)}
