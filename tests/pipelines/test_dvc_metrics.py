"""The scores as DVC shows them: of this commit, between two commits, beside experiments."""

import json
import random

import pytest
from dag import Project

from dose.drums import DRUMS
from dose.sweep.table import Trial, write_tables
from pipelines import closure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
METRICS = ("mss", "kad_codec", "attack_ms", "classifier_accuracy")
KEYS = [f"rmod.{s}.{d}.{m}" for s in ("dose", "ablation", "reranked") for d in DRUMS for m in METRICS]
SCREEN = 120  # columns


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """Two commits whose outputs differ in the scores and in a param."""
    project = Project(tmp_path_factory.mktemp("metrics"))
    project.more = {"COLUMNS": str(SCREEN)}
    project.pretend_outputs()
    for seed in (0, 1):
        params = project.folder / "params.yaml"
        params.write_text(params.read_text().replace("warmup: 1", f"warmup: {1 + seed}"))
        values = random.Random(seed)
        scores = {key: round(values.uniform(0, 10), 4) for key in KEYS}
        (project.folder / "data/evaluate/scores.json").write_text(json.dumps(scores))
        for drum in DRUMS:
            trial = Trial(
                id="t",
                hyper={"lr": 0.1},
                status="FINISHED",
                stopped="done",
                steps=10,
                score=4.0 + seed,
                metrics={"val/mss": 4.0 + seed},
            )
            about = {"drum": drum, "sweep": "s", "select": "val/mss", "best": "t"}
            curves = {"t": [{"step": 10, "val/mss": 4.0 + seed}]}
            write_tables(project.folder / "data" / "sweep" / drum, [trial], curves, about)
        project.run("dvc", "commit", "-f", "-q")
        project.run("git", "add", "-A")
        project.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", f"scores {seed}")
    return project


def test_dvc_shows_the_scores_and_their_difference_between_two_commits(project):
    """Issue 21, 3: DVC knew no metric."""
    [shown] = json.loads(project.run("dvc", "metrics", "show", "--json"))[""]["data"].values()
    assert set(shown["data"]) == set(KEYS)
    [changed] = json.loads(project.run("dvc", "metrics", "diff", "HEAD~1", "--json")).values()
    assert set(changed) == set(KEYS)
    assert {"old", "new", "diff"} <= set(changed["rmod.dose.kick.mss"])
    lines = project.run("dvc", "metrics", "diff", "HEAD~1").splitlines()
    assert max(map(len, lines)) <= SCREEN


def test_experiments_fit_a_screen_with_the_documented_command(project):
    hidden = r".*(/|kad|attack|class|ablation|reranked|\.onset\.)"
    table = project.run("dvc", "exp", "show", "--no-pager", "-n", "2", "--only-changed", "--drop", hidden)
    assert max(map(len, table.splitlines())) <= SCREEN
    for text in ("rmod.dose.kick.mss", "rmod.dose.hihat.mss", "sweep.fit.warmup"):
        assert text in table
    docs = (closure.ROOT / "docs" / "sweeps.md").read_text()
    assert f"dvc exp show --only-changed --drop '{hidden}'" in docs


def test_trials_and_learning_curves_are_drawn_of_two_commits(project):
    """Issue 21, 3: of the curves there was a picture alone, which has no difference."""
    project.run("dvc", "plots", "diff", "HEAD~1", "-o", "plots")
    page = (project.folder / "plots" / "index.html").read_text()
    for title in ("the sweeps' trials", "the selected trials' learning curves"):
        assert title in page
    for score in ("4.0", "5.0"):
        assert page.count(f'"val/mss": "{score}"') == 2 * len(DRUMS)
