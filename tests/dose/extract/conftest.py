"""A bundle with tiny random models: everything real but what they have learnt."""

import shutil

import pytest
import tiny_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """The folder of a bundle on the real compact codec."""
    return tiny_bundle.make(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def extractor(bundle):
    from dose.extract import Extractor

    return Extractor.load(bundle)


@pytest.fixture
def bundle_copy(bundle, tmp_path):
    """The same in a folder that a test may change."""
    return shutil.copytree(bundle, tmp_path / "bundle")
