"""ModelScores of a kit on held-out items, with a stand-in for the models."""

from types import SimpleNamespace

import numpy as np
import pytest

from dose import audio
from dose.drums import DRUMS
from dose.metrics import mss
from dose.metrics.shots import prepare
from dose.registry.gate import ModelScores
from dose.retrain import scoring

RATE = 44100
TIME = np.arange(RATE) / RATE


def thump(pitch):
    return (0.5 * np.sin(2 * np.pi * pitch * TIME) * np.exp(-10 * TIME)).astype(np.float32)


class Perfect:
    """Knows the truth of a mix by its first sample."""

    drums = DRUMS

    def __init__(self, off=0.0):
        self.off = off

    def extract_consensus(self, mixes, drum, *, samples):
        assert samples == 3
        return np.stack([thump(100 * int(m[0, 0]) + 20 * DRUMS.index(drum) + self.off) for m in mixes])

    def extract(self, sound, rate, *, drums, seed=0):
        hit = SimpleNamespace(audio=thump(60), detected=False)
        return SimpleNamespace(hits=dict.fromkeys(drums, (hit,)))


class Embedder:
    def embed(self, shots):
        return np.abs(shots).mean(axis=1)[:, None, None].astype(np.float32)


def held():
    for i in range(1, 11):
        yield scoring.HeldOutSet(
            mix=np.full((2, 1000), i, np.float32),
            shots={drum: thump(100 * i + 20 * j) for j, drum in enumerate(DRUMS)},
        )


def test_scores_are_those_of_each_item_in_order():
    sizes = dict.fromkeys(DRUMS, 3.0)
    perfect, truth = scoring.score(Perfect(), held, Embedder(), sizes, 3)
    assert all((perfect[drum].mss == 0).all() and len(perfect[drum].mss) == 10 for drum in DRUMS)
    off = scoring.score(Perfect(5.0), held, Embedder(), sizes, 3)[0]["snare"]
    wanted = [mss.mss(prepare(thump(100 * i + 25)), prepare(thump(100 * i + 20)))[0] for i in range(1, 11)]
    np.testing.assert_allclose(off.mss, wanted, rtol=1e-5)
    assert off.size_mb == 3.0
    assert off.seconds > 0
    np.testing.assert_array_equal(truth["kick"], perfect["kick"].embeddings)


def test_examples_are_what_the_kit_makes_of_the_first_mixes(tmp_path):
    for name, kit in (("champion", Perfect()), ("challenger", Perfect(5.0))):
        scoring.write_examples(tmp_path / name, kit, held, 3)
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.flac")}
    shots = {f"{i}-{drum}.flac" for i in (1, 2) for drum in DRUMS}
    wanted = {f"{folder}/{shot}" for folder in ("champion", "challenger", "truth") for shot in shots}
    assert names == wanted | {"truth/1-mix.flac", "truth/2-mix.flac"}
    true, own = (audio.read(tmp_path / f / "2-snare.flac") for f in ("truth", "champion"))
    np.testing.assert_allclose(own, true, atol=1e-3)
    assert np.abs(audio.read(tmp_path / "challenger" / "2-snare.flac") - true).max() > 0.01


def test_what_is_kept_is_what_comes_back(tmp_path):
    one = ModelScores(
        mss=np.array([1.0, np.nan]), embeddings=np.ones((2, 1, 3), np.float32), seconds=0.5, size_mb=2.0,
        broken=("It is late.",),
    )  # fmt: skip
    scoring.save(tmp_path / "s.npz", {"kick": one, "hihat": one})
    back = scoring.load(tmp_path / "s.npz")
    assert list(back) == ["kick", "hihat"]
    np.testing.assert_array_equal(back["kick"].mss, one.mss)
    assert back["kick"].broken == one.broken
    assert (back["kick"].seconds, back["kick"].size_mb) == (0.5, 2.0)


def test_sizes_are_of_all_of_a_drums_files(tmp_path):
    (tmp_path / "kick").mkdir()
    (tmp_path / "kick" / "a").write_bytes(b"x" * 1000)
    assert scoring.sizes(tmp_path, ("kick",)) == {"kick": pytest.approx(0.001)}
