"""A bundle written before format 2 (commit 51e8cac) opens, and its calibration and models still apply.

tests/fixtures/v1/bundle was written by that commit: three random models of width 4 with a condition encoder,
calibrated on six synthetic mixes. It lacks only codec/weights.safetensors, which is the shipped codec's file.
bundle_expected.json holds what that commit computed with it.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from extract_beat import RATE, drum_loop

from dose import bundle as bundles
from dose import files
from dose.codec.store import BUNDLED
from dose.extract import Extractor, confidence
from dose.extract.result import FORMER_NAMES

FIXTURES = Path(__file__).parents[2] / "fixtures" / "v1"


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    folder = shutil.copytree(FIXTURES / "bundle", tmp_path_factory.mktemp("v1") / "bundle")
    shutil.copy(BUNDLED / "weights.safetensors", folder / "codec")
    return Extractor.load(folder, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def expected():
    return files.read_json(FIXTURES / "bundle_expected.json")


def test_it_opens_with_its_version(extractor, expected):
    assert files.read_json(extractor.bundle.folder / "bundle.json")["format"] == 1
    assert extractor.bundle.version == expected["version"]


def test_its_calibration_gives_the_same_probabilities(extractor, expected):
    assert set(extractor.calibration) == {"kick", "snare", "hihat"}
    for drum, probe in expected["calibration"].items():
        features = np.array(probe["features"])
        calibration = extractor.calibration[drum]
        assert calibration.detected(features) == pytest.approx(probe["present"], abs=1e-9)
        assert calibration.confidence(features) == pytest.approx(probe["confidence"], abs=1e-9)


def test_its_models_give_the_same_kit(extractor, expected):
    kit = extractor.extract(drum_loop(4.0), RATE, candidates=2, seed=1)
    current = {former: name for name, former in FORMER_NAMES.items()}
    for drum, facts in expected["kit"]["drums"].items():
        assert kit.detected(drum) == facts["present"]
        for shot, stored in zip(kit.hits[drum], facts["candidates"], strict=True):
            for name, value in stored.items():
                assert getattr(shot, current.get(name, name)) == pytest.approx(value, abs=0.01), name


def test_recalibrating_writes_format_2(extractor, tmp_path):
    folder = shutil.copytree(extractor.bundle.folder, tmp_path / "bundle")
    stored = {drum: confidence.to_json(own) for drum, own in extractor.calibration.items()}
    bundles.recalibrate(folder, stored)
    assert files.read_json(folder / "bundle.json")["format"] == 2
    assert Extractor.load(folder, device="cpu", precision="fp32").calibration == extractor.calibration
