"""`dose serve`: the command that it becomes, where it keeps its state, and an address that is taken."""

import os
import socket
import sys

import pytest

from dose import cli


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Starts nothing: the list gets the command that would replace the process."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, command: commands.append(command))
    monkeypatch.setenv("DOSE_STATE", "")
    monkeypatch.delenv("DOSE_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return commands


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as s:
        return str(s.getsockname()[1])


def test_it_becomes_bentoml_with_the_projects_service(started, tmp_path):
    port = free_port()
    assert cli.main(["serve", "--port", port]) == 0
    service = [sys.executable, "-m", "bentoml", "serve", "serving.service:Dose"]
    assert started == [[*service, "--host", "127.0.0.1", "--port", port]]
    assert os.environ["DOSE_STATE"] == str(tmp_path / "state/dose/serving")


def test_in_a_project_its_params_name_the_state(started, tmp_path):
    (tmp_path / "params.yaml").write_text("")
    cli.main(["serve", "--port", free_port()])
    assert "DOSE_STATE" not in os.environ


def test_a_named_state_folder_wins(started, tmp_path):
    cli.main(["serve", "--port", free_port(), "--state", "jobs"])
    assert os.environ["DOSE_STATE"] == str(tmp_path / "jobs")


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_an_address_that_cannot_be_used_is_one_sentence(started, capsys, port):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if port == "taken" else port
        assert cli.main(["serve", "--port", port]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"dose: 127.0.0.1:{port} cannot be listened on (")
    assert err.count("\n") == 1
    assert started == []
