"""The shipped clips: small, licensed, and as samples.csv lists them."""

import re
import shutil

import pytest

from dose import audio
from dose.drums import SPLITS
from dose.errors import IntegrityError, MissingInputError
from dose.sources import build_shipped, shipped
from dose.sources.library import REQUIRED, quantise, sound_id

ROWS = shipped.rows()
ALLOWED = {"CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "MIT"}


def test_the_samples_are_under_5_mb():
    assert sum(p.stat().st_size for p in shipped.SAMPLES.iterdir()) < 5_000_000


def test_every_file_is_listed_and_is_what_the_list_says():
    listed = {row["file"] for row in ROWS}
    assert listed == {p.name for p in shipped.SAMPLES.glob("*.flac")}
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        sound = audio.read(shipped.SAMPLES / row["file"], rate=None)
        assert sound_id(quantise(sound)) == row["id"], row["file"]
        assert len(sound) / audio.RATE == pytest.approx(float(row["seconds"]), abs=1e-5)
        assert audio.probe(shipped.SAMPLES / row["file"]).rate == audio.RATE


def test_every_class_is_in_every_split():
    assert {(r["cls"], r["split"]) for r in ROWS} == {(c, s) for c in REQUIRED for s in SPLITS}
    homes = {r["group"]: {q["split"] for q in ROWS if q["group"] == r["group"]} for r in ROWS}
    assert all(len(h) == 1 for h in homes.values())


def test_a_notice_covers_every_licence_and_names_everyone_to_be_credited():
    licences = {row["licence"] for row in ROWS}
    assert licences <= ALLOWED
    assert {p.name for p in shipped.SAMPLES.glob("NOTICE-*.md")} == {f"NOTICE-{lic}.md" for lic in licences}
    for row in ROWS:
        notice = (shipped.SAMPLES / f"NOTICE-{row['licence']}.md").read_text()
        assert row["attribution"]
        assert row["attribution"] in notice
        assert row["author"]
        assert row["author"] in notice or row["licence"] == "CC0-1.0"
    assert "Permission is hereby granted" in (shipped.SAMPLES / "NOTICE-MIT.md").read_text()


def test_what_may_not_be_shipped_is_not_there():
    names = " ".join(row["file"] + row["origin"] for row in ROWS)
    assert not re.search(r"amen|mehackit|sn_generic|[Aa]udiophob", names)
    assert not any("amen" in p.name for p in shipped.demo_recordings())


def test_a_changed_file_is_refused(tmp_path):
    folder = shutil.copytree(shipped.SAMPLES, tmp_path / "samples")
    first, second = ROWS[0]["file"], ROWS[1]["file"]
    shutil.copy(folder / second, folder / first)
    item = next(shipped.source_items(folder))
    with pytest.raises(IntegrityError, match=re.escape(first)):
        item.load()


def test_the_demo_recordings_are_whole_loops_with_a_notice():
    paths = shipped.demo_recordings()
    assert {"loop_garzul", "loop_compus"} <= {p.stem for p in paths}
    notice = (shipped.DEMO / "NOTICE.md").read_text()
    for path in paths:
        assert path.name in notice
        assert 0.5 < audio.probe(path).seconds < 12
    assert sum(p.stat().st_size for p in shipped.DEMO.iterdir()) < 2_000_000


def test_building_without_the_packages_names_one_and_leaves_the_samples(tmp_path):
    samples = tmp_path / "samples"
    samples.mkdir()
    (samples / "samples.csv").write_text("as it was")
    with pytest.raises(MissingInputError, match="sonic-pi-samples"):
        build_shipped.make(tmp_path, samples, tmp_path / "demo")
    assert [p.name for p in tmp_path.iterdir()] == ["samples"]
    assert (samples / "samples.csv").read_text() == "as it was"
