"""`dose retrain`, `dose schedule`: retraining now, or by whatever starts jobs here."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  dose retrain                       # go on with an unfinished run, or begin one if a trigger asks for it
  dose retrain --now "new kit"       # begin one whatever the triggers say
  dose retrain --status              # what would happen, without doing it
  dose schedule render --target systemd
"""
TARGETS = ("cron", "systemd", "k8s", "rayjob", "raycronjob", "github")


def register(subparsers) -> None:
    shape = {"epilog": EXAMPLE, "formatter_class": argparse.RawDescriptionHelpFormatter}
    retrain = subparsers.add_parser("retrain", help="new sounds in, better models out, or none", **shape)
    how = retrain.add_mutually_exclusive_group()
    how.add_argument("--now", metavar="REASON", help="begin a run without a trigger")
    how.add_argument("--status", action="store_true", help="say what is unfinished or due, and do nothing")
    retrain.set_defaults(run=run_retrain)
    schedule = subparsers.add_parser("schedule", help="have retraining started by cron and others", **shape)
    actions = schedule.add_subparsers(metavar="ACTION", required=True)
    render = actions.add_parser("render", help="print the file for one kind of scheduler", **shape)
    render.add_argument("--target", choices=TARGETS, required=True)
    render.add_argument("--root", type=Path, default=Path.cwd(), help="the project (default: this folder)")
    render.set_defaults(run=run_render)


def run_retrain(args: argparse.Namespace) -> int:
    import subprocess
    import sys

    from dose import config

    config.read_section("retrain")  # says at once when this is not the project's folder
    if args.status:
        choice = ["--status"]
    else:
        choice = ["--now", args.now] if args.now else []
    # A process of its own: pipelines/ is the project's code and no part of the installed package.
    return subprocess.run([sys.executable, "-m", "pipelines.retrain", *choice], check=False).returncode


def run_render(args: argparse.Namespace) -> None:
    from dose import config
    from dose.retrain.config import RetrainConfig
    from dose.retrain.schedule import render

    print(render(args.target, config.load("retrain", RetrainConfig), args.root.resolve()), end="")
