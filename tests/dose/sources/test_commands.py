"""`dose sources` as it is typed."""

import shutil

import numpy as np
import pytest
import soundfile

from dose import config
from dose.cli import main
from dose.sources.config import SourcesConfig

PARAMS = """sources:
  seed: 0
  bundled: true
  procedural: {train: 1, val: 1, test: 1}
  archives: archives
  packages: []
  soundfonts: []
  riffs_per_program: 1
  sung_phrases: 0
  folders: []  # mine
  loop_seconds: 16.0
  duplicate_correlation: 0.97
  max_reject_share: 0.5
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_shows_licence_size_and_unpacked_packages(project, capsys):
    (project / "archives/lmms-common").mkdir(parents=True)
    (project / "archives/lmms-common/VERSION").write_text("1.2.2\n")
    assert main(["sources", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert "1.2.2" in lines["lmms-common"]
    assert "143 MB" in lines["hydrogen-drumkits"]
    assert "MIT" in lines["fluid-soundfont-gm"]


def test_show_counts_by_class_licence_and_kit(project, root, capsys):
    shutil.copytree(root, project / "data/sources")
    assert main(["sources", "show", "--kits"]) == 0
    out = capsys.readouterr().out
    assert "CC-BY-4.0" in out
    assert "MuldjordKit" in out
    assert "rejected: none" in out


def test_show_without_a_library_names_the_command_to_run(project, capsys):
    assert main(["sources", "show"]) == 1
    assert "dvc repro sources" in capsys.readouterr().err


def test_add_checks_the_folder_and_enters_it(project, capsys):
    (project / "mine/kick").mkdir(parents=True)
    soundfile.write(project / "mine/kick/a.wav", np.random.default_rng(0).standard_normal(8000) * 0.1, 44100)
    (project / "mine/kick/b.wav").write_text("no sound")
    command = ["sources", "add", "mine", "--licence", "CC0-1.0", "--author", "Jo", "--split", "train"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "rejected, unreadable" in out
    assert (
        "folders: [{path: mine, licence: CC0-1.0, author: Jo, split: train}] # mine"
        in (project / "params.yaml").read_text()
    )
    assert main(command) == 1
    assert "already" in capsys.readouterr().err


def test_fetch_of_an_unknown_package_downloads_nothing(project, capsys):
    assert main(["sources", "fetch", "lmms-common", "nonesuch"]) == 1
    assert "nonesuch" in capsys.readouterr().err
    assert not (project / "archives").exists()


@pytest.mark.parametrize("action", [[], ["list"], ["fetch"], ["show"], ["add"]])
def test_every_help_has_an_example(action, capsys):
    with pytest.raises(SystemExit) as e:
        main(["sources", *action, "--help"])
    assert e.value.code == 0
    assert "dose sources" in capsys.readouterr().out.partition("example")[2]


def test_the_key_and_the_option_packs_are_still_accepted(project, capsys):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("archives: archives", "packs: archives"))
    (project / "archives/lmms-common").mkdir(parents=True)
    (project / "archives/lmms-common/VERSION").write_text("1.2.2\n")
    assert config.load("sources", SourcesConfig).archives == "archives"
    for option in ([], ["--packs", "archives"]):
        assert main(["sources", "list", *option]) == 0
        assert "1.2.2" in capsys.readouterr().out
