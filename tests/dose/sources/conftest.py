"""A small sample library of real clips, built once."""

import dataclasses

import pytest

from dose.sources.build import build
from dose.sources.config import Procedural, SourcesConfig

SMALL = SourcesConfig(
    seed=3,
    bundled=True,
    procedural=Procedural(train=4, val=2, test=2),
    archives="data/archives",
    packages=(),
    soundfonts=(),
    riffs_per_program=1,
    sung_phrases=0,
    folders=(),
    loop_seconds=16.0,
    duplicate_correlation=0.97,
    max_reject_share=0.25,
)


@pytest.fixture(scope="session")
def small() -> SourcesConfig:
    return SMALL


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """data/sources of SMALL; tests must not write into it."""
    out = tmp_path_factory.mktemp("library") / "sources"
    build(SMALL, out)
    return out


@pytest.fixture
def only():
    """A config with nothing chosen, and the given values."""
    nothing = dataclasses.replace(SMALL, bundled=False, procedural=Procedural(train=0, val=0, test=0))
    return lambda **values: dataclasses.replace(nothing, **values)
