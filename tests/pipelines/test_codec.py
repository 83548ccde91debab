import dataclasses

import numpy as np
import pytest

from dose import config, files
from dose.codec import bundled_codec, load_codec
from dose.codec.config import CodecConfig
from pipelines import codec as stage


@pytest.fixture
def section():
    return config.load("codec", CodecConfig)


def test_committed_params_use_the_shipped_codec(section, tmp_path, monkeypatch):
    assert section.source == "bundled"
    monkeypatch.setattr(stage, "OUT", tmp_path / "codec")
    monkeypatch.setattr(stage, "STATE", tmp_path / "state")
    monkeypatch.setattr("sys.argv", ["codec"])
    stage.main()
    files.check_manifest(tmp_path / "codec")
    assert load_codec(tmp_path / "codec").id == bundled_codec().id


def test_params_still_describe_the_shipped_codec(section):
    """So that `codec.source: train` fits one of the same kind as the card speaks of."""
    assert section.compact == bundled_codec().config


class Item:
    def __init__(self, stems):
        self.mix = np.ones((2, 4000), np.float32)
        self.shots = {d: np.ones(2000, np.float32) for d in ("kick", "snare", "hihat")}
        self.stems = {t: np.ones((2, 4000), np.float32) for t in ("kick", "bass")} if stems else None


class Clips:
    clips = ()


def test_material_counts(monkeypatch, section):
    asked = []

    def stream(ranges, library, split, first, last, stems):
        asked.append((split, first, last, stems))
        return (Item(stems) for _ in range(first, last))

    monkeypatch.setattr(stage, "stream", stream)
    what = dataclasses.replace(section.material, shots=5, mixes=3, stems=2)
    sounds = list(stage.material(None, Clips(), what))
    assert asked == [("train", 0, 2, True), ("train", 2, 5, False)]
    assert len(sounds) == 5 * 3 + 3 + 2 * 2
    assert all(s.ndim == 1 for s in sounds)
