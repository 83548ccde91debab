"""The job on top of the stages: `dose retrain`, or this module, started by a person or a schedule."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dose import config
from dose.retrain import Orchestrator, RetrainConfig
from dose.retrain.orchestrator import HOME
from dose.retrain.steps import ProjectSteps
from dose.retrain.triggers import due
from pipelines import package
from pipelines.stage import run_stage


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pipelines.retrain", description=__doc__)
    parser.add_argument("--now", metavar="REASON")
    parser.add_argument("--status", action="store_true")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    settings = config.load("retrain", RetrainConfig)
    job = Orchestrator(settings, ProjectSteps(settings, package), say=lambda text: print(f"retrain: {text}"))
    if args.status:
        tell(job, settings)
        return
    outcome = job.start(force=args.now)
    print(f"retrain: {outcome.status}. {outcome.says}")
    if outcome.run:
        print(f"retrain: report in {job.folder(outcome.run) / 'report.html'}")


def tell(job: Orchestrator, settings: RetrainConfig) -> None:
    """What a start would do now."""
    if (Path(HOME) / "journal.json").is_file():
        print("retrain: a run is unfinished; the next start goes on with it")
    for cause in due(settings.triggers, job.situation()) or ["No trigger asks for a run."]:
        print(f"retrain: {cause}")


if __name__ == "__main__":
    run_stage(main)
