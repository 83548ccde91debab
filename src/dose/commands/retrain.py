"""`dose retrain`, `dose schedule`: retraining now, or by a scheduler."""

import argparse
from pathlib import Path

EXAMPLE = """example:
  dose retrain                       # resume an unfinished run, or begin one if a trigger fires
  dose retrain --now "new kit"       # begin one without a trigger
  dose retrain --status              # print what a start would do
  dose schedule render --target systemd
"""
TARGETS = ("cron", "systemd", "k8s", "rayjob", "raycronjob", "github")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    retrain = subparsers.add_parser(
        "retrain",
        help="train on new sounds and promote the models that are superior",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mode = retrain.add_mutually_exclusive_group()
    mode.add_argument("--now", metavar="REASON", help="begin a run without a trigger")
    mode.add_argument("--status", action="store_true", help="print what is unfinished or due; start nothing")
    retrain.set_defaults(run=run_retrain)
    schedule = subparsers.add_parser(
        "schedule",
        help="print the configuration with which a scheduler starts `dose retrain`",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = schedule.add_subparsers(metavar="ACTION", required=True)
    render = actions.add_parser(
        "render",
        help="print the file for one kind of scheduler",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    render.add_argument("--target", choices=TARGETS, required=True)
    render.add_argument("--root", type=Path, default=Path.cwd(), help="the project (default: this folder)")
    render.set_defaults(run=run_render)


def run_retrain(args: argparse.Namespace) -> int:
    import subprocess
    import sys

    from dose import config

    config.read_section("retrain")  # fails at once outside of the project's folder
    if args.status:
        options = ["--status"]
    else:
        options = ["--now", args.now] if args.now else []
    # A separate process: pipelines/ is part of the project and not of the installed package.
    return subprocess.run([sys.executable, "-m", "pipelines.retrain", *options], check=False).returncode


def run_render(args: argparse.Namespace) -> None:
    from dose import config
    from dose.retrain.config import RetrainConfig
    from dose.retrain.schedule import render
    from dose.sweep.config import Resources

    resources = config.parse(
        Resources, config.read_section("sweep").get("resources"), "params.yaml: sweep.resources"
    )
    settings = config.load("retrain", RetrainConfig)
    print(render(args.target, settings, args.root.resolve(), resources), end="")
