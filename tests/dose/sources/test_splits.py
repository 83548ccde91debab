import collections
import dataclasses

import pytest

from dose.drums import SPLITS
from dose.errors import DoseError
from dose.sources import splits
from dose.sources.build import build
from dose.sources.library import CLASSES, SampleLibrary


def test_the_table_keeps_shared_recordings_together():
    assert splits.of_group("macarthur") == "train"
    assert splits.of_group("sonic-pi") == splits.of_group("forzee") == "test"
    assert splits.of_group("colombo") == "val"
    assert splits.of_group("drumsynth/tr909") == "test"
    assert splits.of_group("drumsynth/farfisa") == "val"
    assert splits.of_group("drumsynth/tr808") == "train"
    assert splits.of_group("gm/33") == "train"
    assert splits.of_group("gm/37") == "test"
    assert splits.of_group("voice/m7") == "val"


def test_unknown_groups_go_by_name_in_the_stated_shares():
    drawn = collections.Counter(splits.of_group(f"my/kit-{i}") for i in range(5000))
    for split, share in splits.SHARES.items():
        assert drawn[split] / 5000 == pytest.approx(share, abs=0.02)


@pytest.fixture
def clips(root):
    return list(SampleLibrary.load(root).clips)


def test_a_complete_library_passes(clips):
    splits.check(clips)


def test_a_class_without_clips_is_named(clips):
    with pytest.raises(DoseError, match="no piano clip"):
        splits.check(c for c in clips if c.cls != "piano")


def test_an_empty_split_names_class_split_and_groups(clips):
    left = [c for c in clips if c.cls != "snare" or c.group == "muldjordkit"]
    with pytest.raises(DoseError, match=r"The val split has no snare clip: the only group is muldjordkit"):
        splits.check(left)


def test_a_divided_group_is_refused(clips):
    clips[0] = dataclasses.replace(clips[0], split="val" if clips[0].split != "val" else "train")
    with pytest.raises(DoseError, match=f"Group {clips[0].group} has clips in"):
        splits.check(clips)


def test_a_library_of_drums_alone_is_refused(only, small, tmp_path):
    with pytest.raises(DoseError, match="no bass clip"):
        build(only(procedural=small.procedural), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_class_and_split_has_a_rule():
    assert set(splits.GROUPS.values()) == set(SPLITS)
    assert set(splits.SHARES) == set(SPLITS)
    assert sum(splits.SHARES.values()) == pytest.approx(1)
    assert len(CLASSES) == 11
