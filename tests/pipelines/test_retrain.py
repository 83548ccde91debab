"""`dose retrain` and `dose schedule` as a user calls them, in a folder with nothing but params.yaml."""

import dataclasses

import pytest
import yaml

from dose import cli
from dose.commands.retrain import TARGETS
from dose.retrain import RetrainConfig
from pipelines import retrain


@pytest.fixture
def folder(tmp_path, monkeypatch):
    section = dataclasses.asdict(RetrainConfig())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"retrain": section}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_status_prints_that_nothing_is_due_and_starts_nothing(folder, capsys):
    retrain.main(["--status"])
    assert "No trigger fires." in capsys.readouterr().out
    assert not (folder / "data" / "retrain" / "runs").exists()


def test_the_first_start_writes_the_trigger_state(folder, capsys):
    retrain.main([])
    assert "idle" in capsys.readouterr().out
    assert (folder / "data" / "retrain" / "state.json").is_file()


def test_schedules_are_printed(folder, capsys):
    for target in TARGETS:
        assert cli.main(["schedule", "render", "--target", target, "--root", "/srv/dose"]) == 0
        assert "dose retrain" in capsys.readouterr().out.replace("\n", " ").replace("- ", "").replace(
            "  ", ""
        )


def test_outside_of_a_project_the_error_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["retrain"]) == 1
    assert "project's root folder" in capsys.readouterr().err
