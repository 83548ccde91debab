"""The retraining job on top of the stages: started by `dose retrain`, a schedule, or as this module."""

import argparse
import sys
from collections.abc import Sequence

from dose import config
from dose.retrain import Orchestrator, RetrainConfig, run_state
from dose.retrain.steps import ProjectSteps
from dose.retrain.triggers import due
from pipelines import package
from pipelines.stage import run_stage


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pipelines.retrain", description=__doc__)
    parser.add_argument("--now", metavar="REASON")
    parser.add_argument("--status", action="store_true")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    # The package stage's functions are passed in, since dose must not import pipelines.
    settings = config.load("retrain", RetrainConfig)
    orchestrator = Orchestrator(
        settings, ProjectSteps(settings, package), log=lambda text: print(f"retrain: {text}")
    )
    if args.status:
        print_status(orchestrator)
        return
    outcome = orchestrator.start(force=args.now)
    print(f"retrain: {outcome.status}. {outcome.message}")
    if outcome.run:
        print(f"retrain: report in {orchestrator.folder(outcome.run) / 'report.html'}")


def print_status(orchestrator: Orchestrator) -> None:
    """Prints what a start would do now."""
    if run_state.read_run(orchestrator.home) is not None:
        print("retrain: a run is unfinished; the next start resumes it")
    for cause in due(orchestrator.config.triggers, orchestrator.trigger_inputs()) or ["No trigger fires."]:
        print(f"retrain: {cause}")


if __name__ == "__main__":
    run_stage(main)
