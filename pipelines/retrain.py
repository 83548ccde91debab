"""The retraining job on top of the stages: started by `dose retrain`, a schedule, or as this module."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dose import config
from dose.retrain import Orchestrator, RetrainConfig
from dose.retrain.status import describe
from dose.retrain.steps import ProjectSteps
from pipelines import package
from pipelines.stage import run_stage


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pipelines.retrain", description=__doc__)
    parser.add_argument("--now", metavar="REASON")
    parser.add_argument("--status", action="store_true")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    # The package stage's functions are passed in, since dose must not import pipelines.
    settings = config.load("retrain", RetrainConfig)
    steps = ProjectSteps(settings, package)
    orchestrator = Orchestrator(settings, steps, log=lambda text: print(f"retrain: {text}", flush=True))
    # Before hours are spent on another state of the project than the user means.
    warnings = steps.worktree.warnings()
    for text in [*(describe(orchestrator, Path(settings.folder)) if args.status else []), *warnings]:
        print(f"retrain: {text}", flush=True)
    if args.status:
        return
    outcome = orchestrator.start(force=args.now)
    print(f"retrain: {outcome.status}. {outcome.message}")
    if outcome.run:
        print(f"retrain: report in {orchestrator.folder(outcome.run) / 'report.html'}")


if __name__ == "__main__":
    run_stage(main)
