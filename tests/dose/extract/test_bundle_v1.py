"""A bundle written before format 2 (commit 51e8cac) opens and extracts, but counts as not calibrated.

tests/fixtures/v1/bundle was written by that commit: three random models of width 4 with a condition encoder,
calibrated on six synthetic mixes. It lacks only codec/weights.safetensors, which is the shipped codec's file.
Its calibration was fitted to features of an onset detector that is gone.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from extract_beat import RATE, drum_loop

from dose import bundle as bundles
from dose import cli, files
from dose.codec.store import BUNDLED
from dose.drums import DRUMS
from dose.extract import Extractor, confidence

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v1"


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    folder = shutil.copytree(FIXTURES / "bundle", tmp_path_factory.mktemp("v1") / "bundle")
    shutil.copy(BUNDLED / "weights.safetensors", folder / "codec")
    return Extractor.load(folder, device="cpu", precision="fp32")


def test_it_opens_with_its_version(extractor):
    assert files.read_json(extractor.bundle.folder / "bundle.json")["format"] == 1
    assert extractor.bundle.version == "dose-c207f3fa61"


def test_its_calibration_is_left_out(extractor, capsys):
    assert set(extractor.bundle.calibration) == set(DRUMS)
    assert extractor.calibration == {}
    assert cli.main(["bundle", "show", str(extractor.bundle.folder)]) == 0
    assert capsys.readouterr().out.count("confidence not calibrated") == 3


def test_its_models_make_a_kit_whose_confidence_is_the_uncalibrated_one(extractor):
    mix = drum_loop(4.0)
    kit = extractor.extract(mix, RATE, candidates=2, seed=1)
    for drum in DRUMS:
        assert len(kit.hits[drum]) == 2
        for shot in kit.hits[drum]:
            assert shot.raw.shape == (RATE,)
            assert np.isfinite(shot.raw).all()
            assert np.abs(shot.raw).max() > 0
        features = np.stack([c.features for c in extractor.candidates(mix, drum, count=2, seed=1)])
        chances = confidence.UNCALIBRATED.confidence(features)
        assert kit.hits[drum][0].confidence == pytest.approx(chances[0], abs=1e-3)


def test_recalibrating_writes_format_2(extractor, tmp_path):
    folder = shutil.copytree(extractor.bundle.folder, tmp_path / "bundle")
    own = dataclasses.replace(confidence.UNCALIBRATED, correct=confidence.UNCALIBRATED.detected)
    bundles.recalibrate(folder, dict.fromkeys(DRUMS, confidence.to_json(own)))
    assert files.read_json(folder / "bundle.json")["format"] == 2
    again = Extractor.load(folder, device="cpu", precision="fp32")
    assert again.calibration == dict.fromkeys(DRUMS, own)
    assert again.bundle.version != extractor.bundle.version
