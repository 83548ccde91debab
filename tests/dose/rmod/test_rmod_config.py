"""The section rmod: optional keys, old keys, and the identity of the data they give."""

import dataclasses

import pytest

from dose import config, files
from dose.errors import ConfigError
from dose.rmod import RmodConfig, paper_ranges
from dose.rmod.build import data_id


@pytest.fixture
def section(ranges_path):
    return config.read_section("rmod", ranges_path)


def test_the_mixing_chain_may_be_left_out_or_written_out(section, ranges, library):
    whole = {name: _as_yaml(value) for name, value in dataclasses.asdict(ranges).items()}
    assert set(whole) - set(section) == {"tracks", "reverb", "delay", "realistic"}
    assert set(whole["master"]) - set(section["master"]) == {"peaks", "gain_db", "limiter"}
    written_out = config.parse(RmodConfig, whole, "rmod")
    assert written_out == ranges
    assert files.hash_json(written_out) == files.hash_json(ranges)
    assert data_id(written_out, library) == data_id(ranges, library)


def _as_yaml(value):
    """As a params file has it: tuples as lists, and whole numbers without a point."""
    if isinstance(value, dict):
        return {k: _as_yaml(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_as_yaml(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_a_range_that_is_given_replaces_the_papers(section):
    delay = _as_yaml(dataclasses.asdict(paper_ranges.DELAY)) | {"feedback": [0.5, 0.6]}
    assert config.parse(RmodConfig, section | {"delay": delay}, "rmod").delay.feedback == (0.5, 0.6)
    with pytest.raises(ConfigError, match="tracks must name exactly"):
        config.parse(RmodConfig, section | {"tracks": {}}, "rmod")


def test_augmentation_was_called_variation(section, ranges):
    old = {"variation" if k == "augmentation" else k: v for k, v in section.items()}
    assert config.parse(RmodConfig, old, "rmod") == ranges
