import csv
import dataclasses
import shutil

import numpy as np
import pytest
import soundfile

from dose import audio, config
from dose.drums import SPLITS
from dose.errors import ConfigError, DoseError
from dose.files import check_manifest
from dose.sources import shipped
from dose.sources.adapters.folder import Folder
from dose.sources.build import build
from dose.sources.config import SourcesConfig
from dose.sources.duplicates import pairs
from dose.sources.library import SampleLibrary


def rejects(root):
    with open(root / "rejects.csv", newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def mine(path, split):
    return Folder(path=str(path), licence="CC0-1.0", author="me", split=split)


def test_the_same_params_give_the_same_library(small, root, tmp_path):
    again = build(small, tmp_path / "again")
    assert again.id == SampleLibrary.load(root).id == SampleLibrary.load(tmp_path / "again").id
    other = build(dataclasses.replace(small, seed=4), tmp_path / "other")
    assert other.id != again.id


def test_no_group_and_no_cluster_crosses_splits(root):
    library = SampleLibrary.load(root)
    for key in ("group", "cluster"):
        homes: dict[str, set[str]] = {}
        for clip in library.clips:
            homes.setdefault(getattr(clip, key), set()).add(clip.split)
        assert all(len(s) == 1 for s in homes.values())
    assert {c.split for c in library.clips if c.source == "procedural"} == set(SPLITS)


def test_a_training_clip_that_sounds_like_a_test_clip_is_dropped(small, tmp_path):
    """A test kick in a user folder, quieter, shifted, a little noisy: no group tells, the sound does."""
    row = next(r for r in shipped.rows() if r["cls"] == "kick" and r["split"] == "test")
    kick = audio.read(shipped.SAMPLES / row["file"])
    altered = 0.4 * np.concatenate([np.zeros(300), kick]) + 1e-4 * np.random.default_rng(0).standard_normal(
        len(kick) + 300
    )
    (tmp_path / "mine/kick").mkdir(parents=True)
    soundfile.write(tmp_path / "mine/kick/copy.wav", altered, 44100)
    rng = np.random.default_rng(1)
    own = rng.standard_normal(9000) * np.exp(-np.arange(9000) / 2000) * 0.2
    soundfile.write(tmp_path / "mine/kick/own.wav", own, 44100)
    library = build(dataclasses.replace(small, folders=(mine(tmp_path / "mine", "train"),)), tmp_path / "out")
    assert [c.name for c in library.clips if c.source == "folder"] == ["own"]
    (dropped,) = [r for r in rejects(tmp_path / "out") if r["source"] == "folder"]
    assert dropped["reason"] == "duplicate"
    assert "test split" in dropped["detail"]
    assert row["id"] in {c.id for c in library.clips}


def test_near_duplicates_within_a_split_stay_and_share_a_cluster(small, tmp_path):
    (tmp_path / "mine/snare").mkdir(parents=True)
    rng = np.random.default_rng(2)
    hit = rng.standard_normal(9000) * np.exp(-np.arange(9000) / 2000) * 0.2
    soundfile.write(tmp_path / "mine/snare/a.wav", hit, 44100)
    soundfile.write(tmp_path / "mine/snare/b.wav", hit + 0.1 * hit.std() * rng.standard_normal(9000), 44100)
    library = build(dataclasses.replace(small, folders=(mine(tmp_path / "mine", "train"),)), tmp_path / "out")
    first, second = (c for c in library.clips if c.source == "folder")
    assert first.cluster == second.cluster == first.id
    assert pairs([library.audio(first.id), library.audio(second.id)], 0.97) == [(0, 1)]


def test_what_is_written_is_whole_and_true_to_its_manifest(root):
    check_manifest(root)
    library = SampleLibrary.load(root)
    assert {p.stem for p in (root / "clips").iterdir()} == {c.id for c in library.clips}
    assert len({c.id for c in library.clips}) == len(library.clips)
    assert all(c.licence and c.author and c.kit and c.group and c.package for c in library.clips)


def test_a_build_that_fails_leaves_the_earlier_one(small, root, tmp_path):
    out = tmp_path / "sources"
    shutil.copytree(root, out)
    before = SampleLibrary.load(out).id
    with pytest.raises(DoseError):
        build(dataclasses.replace(small, bundled=False), out)
    assert SampleLibrary.load(out).id == before
    assert [p.name for p in tmp_path.iterdir()] == ["sources"]


def test_progress_covers_every_source_item(small, tmp_path):
    seen = []

    def watch(source_items):
        for item in source_items:
            seen.append(item.name)
            yield item

    library = build(small, tmp_path / "out", progress=watch)
    assert len(seen) == len(library.clips) + len(rejects(tmp_path / "out"))


VALID = {
    "seed": 0,
    "bundled": True,
    "procedural": {"train": 1, "val": 1, "test": 1},
    "archives": "data/archives",
    "packages": [],
    "soundfonts": [],
    "riffs_per_program": 1,
    "sung_phrases": 0,
    "folders": [],
    "loop_seconds": 16.0,
    "duplicate_correlation": 0.97,
    "max_reject_share": 0.2,
}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"procedural": {"train": -1, "val": 1, "test": 1}},
        {"loop_seconds": 2.0},
        {"duplicate_correlation": 1.5},
        {"max_reject_share": -0.1},
        {"riffs_per_program": -1},
        {"sung_phrases": -1},
        {"folders": [{"path": "x", "licence": "y", "author": "z", "split": "dev"}]},
        {"surplus": 1},
    ],
)
def test_contradictory_params_are_refused(change):
    assert config.parse(SourcesConfig, VALID, "sources").seed == 0
    with pytest.raises(ConfigError):
        config.parse(SourcesConfig, {**VALID, **change}, "sources")
