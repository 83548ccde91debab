"""`dose retrain` and `dose schedule` as a user calls them, in a folder with nothing but params.yaml."""

import dataclasses
import re

import pytest
import yaml

from dose import cli
from dose.commands.retrain import TARGETS
from dose.retrain import RetrainConfig
from dose.sweep.config import Resources
from pipelines import retrain


@pytest.fixture
def folder(tmp_path, monkeypatch):
    sections = {"retrain": RetrainConfig(), "sweep": {"resources": dataclasses.asdict(Resources(gpus=1))}}
    sections["retrain"] = dataclasses.asdict(sections["retrain"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_status_prints_that_nothing_is_due_and_starts_nothing(folder, capsys):
    retrain.main(["--status"])
    out = capsys.readouterr().out
    assert "No trigger fires." in out
    assert "no git repository" in out
    assert not (folder / "data" / "retrain" / "runs").exists()


def test_status_says_what_waits_when_the_next_time_is_and_what_is_missing(folder, capsys):
    """Issue 21, 8."""
    retrain.main(["--status"])
    out = capsys.readouterr().out
    assert "0 sounds wait in incoming; 20 start a run." in out
    assert re.search(r"next time of the schedule is 2\d{3}-\d\d-\d\d 03:00 UTC \(0 3 \* \* 1\)", out)
    (folder / "incoming" / "kick").mkdir(parents=True)
    (folder / "incoming" / "kick" / "boom.wav").touch()
    retrain.main(["--status"])
    out = capsys.readouterr().out
    assert "1 sound waits in incoming" in out
    assert "Nothing can be ingested: incoming/licence.yaml is missing" in out
    (folder / "incoming" / "licence.yaml").write_text("licence: CC0-1.0\nauthor: Jo\n")
    retrain.main(["--status"])
    assert "Their licence is CC0-1.0, their author Jo." in capsys.readouterr().out


def test_the_schedule_has_the_gpus_that_the_params_ask_for(folder, capsys):
    assert cli.main(["schedule", "render", "--target", "rayjob"]) == 0
    assert "nvidia.com/gpu: '1'" in capsys.readouterr().out


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
