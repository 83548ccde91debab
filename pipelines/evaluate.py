"""Stage evaluate: every system on every data set, into data/evaluate."""

from pathlib import Path

from dose import config
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.pipeline import show_progress
from dose.evaluate.project import Folders, evaluate_project
from pipelines.stage import run_stage

OUT = Path("data/evaluate")


def main() -> None:
    settings = config.load("evaluate", EvaluateConfig)
    with show_progress() as progress:
        evaluate_project(settings, Folders(), OUT, progress)
    print((OUT / "summary.md").read_text())
    print(f"all metrics: {OUT / 'table.md'}; listening page: {OUT / 'listening.html'}")


if __name__ == "__main__":
    run_stage(main)
