"""A stored kit is read back as it was, also one that was stored under the former names of its facts."""

import dataclasses
import json

import numpy as np
from fake_extractor import FakeExtractor

from dose.extract.result import FORMER_NAMES, Kit
from serving.jobs import kit_store


def _kit() -> Kit:
    return FakeExtractor().extract_blocks([np.zeros((1, 44100), np.float32)], drums=("kick",), candidates=2)


def _facts(kit: Kit) -> list[dict]:
    return [
        {k: v for k, v in dataclasses.asdict(shot).items() if k not in ("audio", "raw")}
        for shot in kit.hits["kick"]
    ]


def test_a_kit_is_read_as_it_was_stored(tmp_path):
    kit_store.save(_kit(), tmp_path / "kit")
    assert _facts(kit_store.load(tmp_path / "kit")) == _facts(_kit())


def test_a_kit_with_the_former_names_is_read(tmp_path):
    kit_store.save(_kit(), tmp_path / "kit")
    path = tmp_path / "kit" / "kit.json"
    stored = json.loads(path.read_text())
    stored["hits"] = [{FORMER_NAMES.get(k, k): v for k, v in row.items()} for row in stored["hits"]]
    path.write_text(json.dumps(stored))
    assert "detected" not in stored["hits"][0]
    assert _facts(kit_store.load(tmp_path / "kit")) == _facts(_kit())
