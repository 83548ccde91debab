"""Every file has a licence: REUSE.toml, the texts, and the notices beside the sounds and of the whole."""

import csv
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
OWN = "MIT"
SAMPLES = "src/dose/sources/samples"
TABLES = tomllib.loads((ROOT / "REUSE.toml").read_text())["annotations"]
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text()


def _pattern(glob: str) -> re.Pattern[str]:
    """REUSE's globs: ** matches anything, * anything but a slash."""
    parts = re.split(r"(\*\*|\*)", glob)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))


def _globs(table: dict) -> list[str]:
    return table["path"] if isinstance(table["path"], list) else [table["path"]]


def _table(path: str) -> dict:
    """The last table that matches, as REUSE's specification says."""
    matching = [t for t in TABLES if any(_pattern(g).fullmatch(path) for g in _globs(t))]
    assert matching, path
    return matching[-1]


@pytest.fixture(scope="module")
def files():
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.check_output(listed, cwd=ROOT, text=True).splitlines()
    return [path for path in found if (ROOT / path).is_file()]


def test_every_file_has_a_licence_and_a_copyright_holder(files):
    assert len(files) > 900
    for path in files:
        table = _table(path)
        assert table["SPDX-License-Identifier"], path
        assert table["SPDX-FileCopyrightText"], path


def test_every_table_matches_a_file_and_every_licence_has_its_text(files):
    for table in TABLES:
        for glob in _globs(table):
            assert any(_pattern(glob).fullmatch(path) for path in files), glob
    used = {table["SPDX-License-Identifier"] for table in TABLES}
    assert used == {path.stem for path in (ROOT / "LICENSES").glob("*.txt")}
    assert (ROOT / "LICENSE").read_bytes() == (ROOT / "LICENSES/MIT.txt").read_bytes()


def test_material_of_others_is_not_under_this_projects_licence_by_default(files):
    """A new sound or a new vendored file falls to the table of all files, which would be wrong."""
    foreign = [p for p in files if p.endswith((".flac", ".wav", ".mp3")) or re.search(r"/vendor/\w+/", p)]
    assert len(foreign) > 170
    assert [path for path in foreign if _table(path) is TABLES[0]] == []


def test_each_sound_has_the_licence_of_its_entry_and_a_notice(files):
    with open(ROOT / SAMPLES / "samples.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    sounds = {path for path in files if path.startswith(SAMPLES) and path.endswith(".flac")}
    assert {f"{SAMPLES}/{row['file']}" for row in rows} == sounds
    for row in rows:
        assert _table(f"{SAMPLES}/{row['file']}")["SPDX-License-Identifier"] == row["licence"]
        assert row["attribution"] in (ROOT / SAMPLES / f"NOTICE-{row['licence']}.md").read_text()
    demo = (ROOT / "src/dose/sources/demo/NOTICE.md").read_text()
    for path in (p for p in files if p.startswith("src/dose/sources/demo/") and p.endswith(".flac")):
        assert Path(path).name in demo


def test_the_notices_name_all_that_is_of_others(files):
    for table in TABLES[1:]:
        for glob in _globs(table):
            folder = glob.partition("*")[0].rstrip("/")
            assert folder in NOTICES, glob
        assert table["SPDX-License-Identifier"] in NOTICES
    links = re.findall(r"\]\(([^)#]+)\)", NOTICES)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_model_card_credits_every_recording_that_may_be_trained_on():
    """The bundled clips of the train split, and the packages of the transcription's scale."""
    card = (ROOT / "docs/model-card.md").read_text().partition("## Licence")[2]
    with open(ROOT / SAMPLES / "samples.csv", newline="") as f:
        authors = {row["author"] for row in csv.DictReader(f) if row["split"] == "train"}
    assert authors
    for author in authors:
        assert author.partition(",")[0] in card, author
    scale = yaml.safe_load((ROOT / "pipelines/scales/transcription.yaml").read_text())["sources"]
    for package in scale["packages"]:
        words = {"fluid-soundfont-gm": "Fluid", "gogodze-phu-1": "Gogodze Phu I", "gogodze-phu-2": "and II"}
        name = words.get(package, package).replace("-", "[ -]?")
        assert re.search(name, card, re.I), package


def test_the_citation_names_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    paper = cited["preferred-citation"]
    assert paper["title"] == "DOSE: Drum One-Shot Extraction from Music Mixture"
    assert (paper["year"], len(paper["authors"])) == (2025, 5)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (cited["version"], cited["license"]) == (version, OWN)
