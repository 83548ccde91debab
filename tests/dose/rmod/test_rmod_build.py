import dataclasses
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from dose import audio, files
from dose.drums import DRUMS
from dose.rmod import build, render, table
from dose.rmod import realistic_items as realistic
from dose.rmod.dataset import Export, items, write_items
from dose.rmod.draw import draw
from dose.rmod.mix_spec import MixSpec


@pytest.fixture(scope="module")
def small(ranges):
    groove = dataclasses.replace(ranges.groove, items=2)
    return dataclasses.replace(ranges, train=30, val=2, test=3, groove=groove, workers=1, shard=2)


@pytest.fixture(scope="module")
def built(small, library, tmp_path_factory):
    root = tmp_path_factory.mktemp("rmod")
    build.build(small, library, root)
    return root


def test_every_set_has_its_items(built, small, library):
    assert [len(items(built, d)) for d in ("val", "rmod", "rmod_drums", "groove")] == [2, 3, 3, 2]
    for dataset, drums_only in (("rmod", False), ("rmod_drums", True)):
        item = items(built, dataset)[2]
        made = render(draw(small, library, "test", 2), library, small, drums_only=drums_only)
        assert (item.index, item.hits) == (2, made.hits)
        np.testing.assert_allclose(audio.read(item.mix_path, mono=False), made.mix, atol=2**-15)
        for drum in DRUMS:
            np.testing.assert_allclose(audio.read(item.shots[drum]), made.shots[drum], atol=2**-15)


def test_the_realistic_sets_are_of_validation_kits(small, library_with_hats, tmp_path):
    library, built = library_with_hats, tmp_path
    few = dataclasses.replace(small, train=0, val=0, test=0, realistic_items=3)
    build.build(few, library, built)
    for dataset, drums_only in (("realistic", False), ("realistic_drums", True)):
        written = items(built, dataset)
        assert [i.index for i in written] == [0, 1, 2]
        made = realistic.item(small.realistic, library, "val", 2, drums_only=drums_only)
        assert written[2].hits == made.hits
        np.testing.assert_allclose(audio.read(written[2].mix_path, mono=False), made.mix, atol=2**-15)
        for drum in DRUMS:
            np.testing.assert_allclose(audio.read(written[2].shots[drum]), made.shots[drum], atol=2**-15)


def test_an_archive_is_a_zip_of_the_classic_folders(built, small, library, tmp_path):
    for first in (0, 2):
        shutil.unpack_archive(built / "audio" / "test" / f"{first:06d}.zip", tmp_path / "audio" / "test")
    write_items(small, library, (Export(out=tmp_path / "exported", split="test"),), 0, 3, workers=1)
    assert _bytes(tmp_path / "audio" / "test") == _bytes(tmp_path / "exported")
    loose, packed = items(tmp_path, "rmod"), items(built, "rmod")
    assert [i.hits for i in loose] == [i.hits for i in packed]
    for a, b in zip(loose, packed, strict=True):
        assert a.mix_path.read_bytes() == b.mix_path.read_bytes()
        assert files.sha256(a.mix_path) == files.sha256(b.mix_path)


def test_the_table_holds_what_is_drawn(built, small, library):
    for split, count in (("train", 30), ("val", 2), ("test", 3), ("groove", 2)):
        rows = pq.read_table(table.part_path(built, split, 0)).to_pylist()
        assert len(rows) == count
        for index in {0, count - 1}:
            assert MixSpec.from_dict(rows[index]) == draw(small, library, split, index)


def test_a_second_run_writes_nothing_and_a_damaged_shard_is_made_again(built, small, library):
    def stamps():
        return {p: p.stat().st_mtime_ns for p in built.rglob("*.zip")}

    before = stamps()
    build.build(small, library, built)
    assert stamps() == before
    assert len(before) == 1 + 2 + 2 + 1
    victim = items(built, "groove")[0].mix_path.archive
    half = victim.with_name(".000000.0badcafe.zip")
    half.touch()  # as a killed run leaves it
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-100])
    build.build(small, library, built)
    assert not half.exists()
    assert victim.read_bytes() == whole
    assert {p for p, stamp in stamps().items() if before[p] != stamp} == {victim}


def test_other_ranges_leave_nothing_of_the_old_data(built, small, library, tmp_path):
    build.build(dataclasses.replace(small, val=1), library, tmp_path)
    old = items(tmp_path, "val")[0].mix_path.read_bytes()
    build.build(dataclasses.replace(small, val=1, seed=2), library, tmp_path)
    assert items(tmp_path, "val")[0].mix_path.read_bytes() != old


def _bytes(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_shard_of_its_own_has_the_same_bytes(built, small, library, tmp_path):
    write_items(small, library, (Export(out=tmp_path / "a", split="test"),), 0, 3, workers=1)
    write_items(small, library, (Export(out=tmp_path / "b", split="test"),), 2, 3, workers=1)
    assert _bytes(tmp_path / "b" / "000002") == _bytes(tmp_path / "a" / "000002")


@pytest.mark.slow
def test_workers_do_not_change_a_byte(small, library, tmp_path):
    for workers in (1, 2, 4):
        out = tmp_path / str(workers)
        write_items(small, library, (Export(out=out, split="val"),), 0, 4, workers=workers)
    assert _bytes(tmp_path / "1") == _bytes(tmp_path / "2") == _bytes(tmp_path / "4")
