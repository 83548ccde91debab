"""params.yaml and each scale over it parse into the same dataclasses."""

import pytest
import yaml

from dose.errors import ConfigError
from pipelines import scale


def test_an_overlay_changes_only_what_it_names_and_replaces_lists_whole():
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    assert scale.overlay(base, {"a": {"y": [9]}}) == {"a": {"x": 1, "y": [9]}, "b": 3}
    assert base["a"]["y"] == [1, 2]


def test_an_overlay_key_that_the_laptop_scale_lacks_is_an_error():
    with pytest.raises(ConfigError, match=r"params\.yaml\.a has no key 'z'"):
        scale.overlay({"a": {"x": 1}}, {"a": {"z": 1}})


@pytest.mark.parametrize("path", sorted(scale.SCALES.glob("*.yaml")), ids=lambda p: p.stem)
def test_each_scale_fits_over_params(path):
    base = yaml.safe_load((scale.SCALES.parent.parent / "params.yaml").read_text())
    assert scale.overlay(base, yaml.safe_load(path.read_text())) != base
