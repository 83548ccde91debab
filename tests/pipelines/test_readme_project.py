"""Commands of the README that need a project: in a copy of it. tests/test_readme.py names them."""

import pytest
import yaml
from dag import Project

from pipelines.scale import overlay

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def test_the_status_of_retraining(project):
    assert "sounds wait" in project.run("dose", "retrain", "--status")


@pytest.mark.parametrize("scale", ["shipped", "transcription", "paper"])
def test_a_scale_is_written_into_params(project, scale):
    project.run("make", "-o", "install", "scale", f"SCALE={scale}")
    changes = yaml.safe_load((project.folder / f"pipelines/scales/{scale}.yaml").read_text())
    written = yaml.safe_load((project.folder / "params.yaml").read_text())
    assert overlay(written, changes) == written
