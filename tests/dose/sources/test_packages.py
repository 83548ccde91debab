"""Fetching, with an apt-get and a dpkg-deb that are made here: no test needs a network."""

import os
import stat

import pytest

from dose.errors import DoseError, MissingInputError
from dose.sources import packages

APT = """#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in
  *broken*|*hydrogen-data*) echo "E: Unable to locate package" >&2; exit 100;;
  *--print-uris*) echo "'http://mirror/x.deb' lmms-common_1_all.deb 3000 SHA256:0";;
  *) printf '%3000s' x > lmms-common_1_all.deb;;
esac
"""
DPKG = """#!/bin/sh
grep -q damaged "$2" && { echo "E: not an archive" >&2; exit 2; }
case "$1" in
  --field) echo 1.2-3;;
  --extract) mkdir -p "$3/usr/share" && echo sound > "$3/usr/share/x.ogg";;
esac
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A PATH with the two commands; returns the folder they lie in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (folder / name).write_text(text)
        (folder / name).chmod((folder / name).stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return folder


def fetch(name, tmp_path, **extra):
    reports = []
    folder = packages.fetch(name, tmp_path / "archives", lambda *a: reports.append(a), **extra)
    return folder, reports


def test_a_package_is_downloaded_and_unpacked_with_its_version(machine, tmp_path):
    folder, reports = fetch("lmms-common", tmp_path)
    assert (folder / "usr/share/x.ogg").read_text() == "sound\n"
    assert packages.version_of(folder) == "1.2-3"
    assert reports[-1] == ("lmms-common", 3000, 3000)
    assert packages.present(tmp_path / "archives") == {"lmms-common": "1.2-3"}
    assert [p.name for p in (tmp_path / "archives").iterdir()] == ["lmms-common"]
    calls = (tmp_path / "log").read_text()
    fetch("lmms-common", tmp_path)
    assert (tmp_path / "log").read_text() == calls  # what is there is not fetched again


def test_a_local_file_is_used_first(machine, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/hydrogen-data_9_all.deb").write_text("deb")
    folder, _ = fetch("hydrogen-data", tmp_path)
    assert packages.version_of(folder) == "1.2-3"
    assert not (tmp_path / "log").exists()


def test_another_folder_of_files_can_be_named(machine, tmp_path):
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs/hydrogen-data_9_all.deb").write_text("deb")
    fetch("hydrogen-data", tmp_path, local=tmp_path / "debs")
    assert not (tmp_path / "log").exists()


def test_without_apt_one_sentence_says_what_to_do(machine, tmp_path):
    (machine / "apt-get").unlink()
    os.environ["PATH"] = str(machine)
    with pytest.raises(DoseError, match=r"no apt-get.*lmms-common_\*\.deb.*--from FOLDER"):
        fetch("lmms-common", tmp_path)


def test_a_package_that_apt_cannot_find_leaves_nothing_behind(machine, tmp_path):
    with pytest.raises(DoseError, match=r"apt-get update.*Unable to locate"):
        fetch("hydrogen-data", tmp_path)
    assert not list((tmp_path / "archives").iterdir())


def test_a_damaged_file_is_named_and_leaves_nothing_unpacked(machine, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives/lmms-common_1_all.deb").write_text("damaged")
    with pytest.raises(DoseError, match=r"lmms-common_1_all\.deb cannot be read \(not an archive\)"):
        fetch("lmms-common", tmp_path)
    assert not (tmp_path / "archives/lmms-common").exists()


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(tmp_path):
    with pytest.raises(DoseError, match="known are avldrums"):
        fetch("nonesuch", tmp_path)
    with pytest.raises(MissingInputError, match="dose sources fetch lmms-common"):
        packages.folder_of("lmms-common", tmp_path)
