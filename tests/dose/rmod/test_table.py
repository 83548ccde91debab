import pyarrow.parquet as pq
import pytest

from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.rmod import table
from dose.rmod.draw import draw_many
from dose.rmod.mix_spec import MixSpec

COUNT = 120


@pytest.fixture(scope="module")
def written(ranges, library, tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    for split in ("train", "val"):
        table.write_part(ranges, library, split, 0, COUNT, table.part_path(root, split, 0))
    return root


@pytest.fixture(scope="module")
def specs(ranges, library):
    return list(draw_many(ranges, library, "train", 0, COUNT))


def test_rows_are_the_specifications_exactly(written, specs):
    rows = pq.read_table(table.part_path(written, "train", 0)).to_pylist()
    assert [MixSpec.from_dict(row) for row in rows] == specs


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("bass IS NULL", lambda r: r.bass is None),
        ("list_contains(instruments, 'vocal')", lambda r: r.vocal is not None),
        ("len(instruments) = 0", lambda r: not r.loops),
        ("kick.layers[1].kit = 'kit 2'", lambda r: r.kick.layers[0].kit == "kit 2"),
        ("len(snare.layers) = 2", lambda r: len(r.snare.layers) == 2),
        ("piano.semitones > 6", lambda r: r.piano is not None and r.piano.semitones > 6),
        ("list_contains(licences, 'MIT')", lambda r: "MIT" in _gather(r, "licence")),
        ("list_contains(kits, 'kit 3')", lambda r: "kit 3" in _gather(r, "kit")),
        ("hihat.chain.reverb.room > 0.5", lambda r: r.hihat.chain.reverb and r.hihat.chain.reverb.room > 0.5),
        ("len(hihat.onsets) = 18", lambda r: len(r.hihat.onsets) == 18),
    ],
)
def test_queries_find_what_holds(written, specs, where, holds):
    found = table.query(written, f"split = 'train' AND {where}", limit=1000)
    assert sorted(found["index"]) == [r.index for r in specs if holds(r)]
    assert 0 < len(found) < COUNT


def _gather(spec, field):
    drums = [getattr(layer, field) for d in DRUMS for layer in spec.drums[d].layers]
    return {*drums, *(getattr(loop, field) for loop in spec.loops.values())}


def test_clips_are_listed(written, specs):
    found = table.query(written, "split = 'train' AND index = 7", columns="clips").clips[0]
    assert set(found) == _gather(specs[7], "clip")


def test_a_wrong_query_is_one_sentence(written, tmp_path):
    with pytest.raises(DoseError, match="does not run"):
        table.query(written, "kick.colour = 'red'")
    with pytest.raises(MissingInputError, match="no mix specifications"):
        table.query(tmp_path, "true")
