"""`dose demo`: a kit and a page from the bundled loop; the page opens on a terminal alone."""

import sys
import webbrowser
from pathlib import Path

import pytest
import tiny_bundle

import dose
from dose import cli
from dose.commands import demo


@pytest.fixture(autouse=True)
def tiny_models(tmp_path_factory, tmp_path, monkeypatch):
    """Models in which any drum counts as detected, and a working directory."""
    bundle = tiny_bundle.make(tmp_path_factory.mktemp("models"))
    monkeypatch.setattr("dose.extract.extractor.default_bundle", lambda: bundle)
    monkeypatch.setattr(dose.Kit, "detected", lambda self, drum: True)
    # The shortest loop: the kit is of noise either way.
    monkeypatch.setattr(demo, "LOOP", demo.LOOP.with_name("loop_industrial.flac"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def opened(monkeypatch):
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def test_the_loop_is_in_the_package():
    assert demo.LOOP.is_file()


def test_it_writes_a_kit_and_a_page_into_the_folder_that_it_names(capsys, opened):
    assert cli.main(["demo", "--open"]) == 0
    names = {p.name for p in Path("dose-demo").iterdir()}
    assert {"kick.wav", "snare.wav", "hihat.wav", "loop_industrial.sfz", "kit.html"} <= names
    out = capsys.readouterr().out
    assert "The kit is in dose-demo; to listen, open dose-demo/kit.html" in out
    assert "\x1b" not in out
    assert opened == []  # pytest's output is no terminal
    assert cli.main(["demo"]) == 0  # again, over its own kit and page


def test_on_a_terminal_open_opens_the_page(monkeypatch, opened, tmp_path):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(["demo", "--out", "kit"]) == 0
    assert opened == []
    assert cli.main(["demo", "--out", "kit", "--open"]) == 0
    assert opened == [(tmp_path / "kit/kit.html").as_uri()]


def test_a_folder_that_holds_other_files_of_these_names_is_one_sentence(capsys, tmp_path):
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit/kick.wav").write_text("mine")
    assert cli.main(["demo", "--out", "kit"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("dose: ")
    assert err.count("\n") == 1
    assert (tmp_path / "kit/kick.wav").read_text() == "mine"
