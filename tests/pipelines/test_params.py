"""Every section of params.yaml, at every scale, parses into the dataclass its stage uses; a slip is told."""

import dataclasses
from typing import Any

import pytest
import yaml

from dose import config
from dose.baselines.larsnet_train import LarsNetConfig
from dose.codec.config import CodecConfig
from dose.errors import ConfigError
from dose.evaluate.config import EvaluateConfig
from dose.retrain.config import RetrainConfig
from dose.rmod import RmodConfig
from dose.sources.config import SourcesConfig
from dose.sweep import SweepConfig
from dose.tokens.encode import TokensConfig
from dose.transcription.config import TranscriptionConfig
from pipelines import scale
from pipelines.package import PackageConfig
from serving.settings import ServingConfig

ROOT = scale.SCALES.parent.parent
SECTIONS: dict[str, Any] = {
    "sources": SourcesConfig,
    "rmod": RmodConfig,
    "codec": CodecConfig,
    "transcription": TranscriptionConfig,
    "tokens": TokensConfig,
    "sweep": SweepConfig,
    "evaluate": EvaluateConfig,
    "larsnet": LarsNetConfig,
    "package": PackageConfig,
    "serving": ServingConfig,
    "retrain": RetrainConfig,
}
BASE = yaml.safe_load((ROOT / "params.yaml").read_text())
SCALES = {"laptop": {}} | {p.stem: yaml.safe_load(p.read_text()) for p in scale.SCALES.glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(SCALES))
@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_every_scale_parses_into_the_same_dataclasses(section, name):
    values = scale.overlay(BASE, SCALES[name])[section]
    assert dataclasses.is_dataclass(config.parse(SECTIONS[section], values, f"{name}: {section}"))


@pytest.mark.parametrize("section", sorted(SECTIONS))
def test_one_key_too_many_or_too_few_is_an_error(section):
    with pytest.raises(ConfigError, match="unknown keys: typo"):
        config.parse(SECTIONS[section], BASE[section] | {"typo": 1}, section)
    gone = next(iter(BASE[section]))
    with pytest.raises(ConfigError, match=f"lacks keys: {gone}"):
        config.parse(SECTIONS[section], {k: v for k, v in BASE[section].items() if k != gone}, section)


def test_no_section_stands_without_a_reader():
    assert set(BASE) == set(SECTIONS)


V1 = ROOT / "tests" / "fixtures" / "v1"  # params.yaml and scales of version 1, before keys were renamed
CHANGED = {"sources": {"archives": "data/archives"}}  # values, not names, that were changed since
NEW = {"rmod": ("realistic_items",)}  # keys that an old file lacks, and that hold no default in today's


# A section and a scale called transcription are new since version 1; the shipped scale has other values.
@pytest.mark.parametrize("name", sorted(set(SCALES) - {"transcription", "shipped"}))
@pytest.mark.parametrize("section", sorted(set(SECTIONS) - {"transcription"}))
def test_a_file_of_version_1_parses_into_todays_values(section, name):
    changes = {} if name == "laptop" else yaml.safe_load((V1 / "scales" / f"{name}.yaml").read_text())
    old = scale.overlay(yaml.safe_load((V1 / "params.yaml").read_text()), changes)[section]
    new = scale.overlay(BASE, SCALES[name])[section]
    cls = SECTIONS[section]
    read = config.parse(cls, old, f"v1 {name}: {section}")
    today = config.parse(cls, new, f"{name}: {section}")
    new_values = {key: getattr(today, key) for key in NEW.get(section, ())}
    assert dataclasses.replace(read, **CHANGED.get(section, {}), **new_values) == today
