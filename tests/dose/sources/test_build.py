import dataclasses

from dose.drums import SPLITS
from dose.sources.build import build
from dose.sources.catalogue import Bank


def test_the_same_params_give_the_same_bank(small, root, tmp_path):
    again = build(small, tmp_path / "again")
    assert again.id == Bank.load(root).id == Bank.load(tmp_path / "again").id
    other = build(dataclasses.replace(small, seed=4), tmp_path / "other")
    assert other.id != again.id


def test_no_group_and_no_cluster_crosses_splits(root):
    bank = Bank.load(root)
    for key in ("group", "cluster"):
        homes: dict[str, set[str]] = {}
        for clip in bank.clips:
            homes.setdefault(getattr(clip, key), set()).add(clip.split)
        assert all(len(s) == 1 for s in homes.values())
    assert {c.split for c in bank.clips if c.source == "procedural"} == set(SPLITS)
