"""The whole DAG at the tiny scale: it fills the table, does nothing when repeated, and survives SIGKILL."""

import json
import re
import time

import pytest
from dag import Project, wait_for

from dose.drums import DRUMS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

# Their bytes depend on params alone; a sweep's folder also holds times, so its weights are compared instead.
EXACT = ("data/sources", "data/rmod", "data/codec", "data/tokens")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("dag"))
    project.repro()
    return project


def test_the_table_is_full(done):
    metrics = json.loads((done.folder / "data/evaluate/metrics.json").read_text())
    rows = metrics["rmod"]
    assert len(rows) >= 4
    for row in ("Reconstruction", "DOSE", "DOSE without onset loss"):
        for drum in DRUMS:
            for metric in ("mss", "fad_codec"):
                cell = rows[row][drum][metric]
                assert cell["n"] > 0
                assert cell["value"] >= 0
    assert (done.folder / "data/evaluate/listening.html").stat().st_size > 10_000
    assert (done.folder / "data/package/bundle/bundle.json").is_file()


def test_a_second_repro_runs_no_stage_but_the_check_of_the_inputs(done):
    began = time.monotonic()
    said = done.repro()
    assert re.findall(r"Running stage '(.*)'", said) == ["inputs"]
    print(f"no-op repro: {time.monotonic() - began:.1f} s")


def test_make_demo_ends_with_the_table_and_the_next_commands(done):
    """Without `install`, as the environment is the tests' own; the stages have run."""
    printed = done.run("make", "-o", "install", "demo")
    assert "Lower is better" in printed
    assert "dose extract SONG.wav --out kit" in printed


def killed_again_and_again(project: Project, stage: str) -> None:
    """Starts the stage and kills dvc alone, early and late, each time while it makes up for the last."""
    for moment in (0.3, 2, 6):  # seconds: in the imports; just after them; in the work
        (project.folder / "repro.log").unlink(missing_ok=True)
        killed = project.start(stage)
        wait_for(lambda run=killed: project.begun(stage, run), 300, f"stage {stage} begins")
        time.sleep(moment)
        killed.kill()
        killed.wait()
        wait_for(lambda: not project.working(), 20, "every process of the killed run ends")


@pytest.mark.parametrize("stage", ["sources", "rmod", "codec", "tokens", "sweep@kick"])
def test_sigkill_in_a_stage_leaves_no_orphan_and_the_next_run_ends_the_same(done, tmp_path, stage):
    project = Project(tmp_path)
    killed_again_and_again(project, stage)
    project.repro(stage)
    for path, digest in project.hashes().items():
        if path in EXACT:
            assert digest == done.hashes()[path], path
    if stage == "sweep@kick":
        best = "data/sweep/kick/best/weights.safetensors"
        assert (project.folder / best).read_bytes() == (done.folder / best).read_bytes()


@pytest.mark.parametrize("stage", ["evaluate", "package"])
def test_sigkill_in_a_late_stage_ends_the_same(done, stage):
    """In the finished project, whose stage is forgotten first: what comes before need not run again."""
    before = done.results()
    done.forget(stage)
    killed_again_and_again(done, stage)
    done.repro()
    assert done.results() == before
