"""`dose sweep`: the trials of a sweep, ranked."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dose.drums import DRUMS

if TYPE_CHECKING:
    from dose.sweep.table import Trial

EXAMPLE = """example:
  dose sweep show kick
  dose sweep show snare --top 5 --json
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="rank the trials of a sweep",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="print a drum's trials, best first",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("drum", choices=DRUMS)
    show.add_argument("--dir", default="data/sweep", help="folder of the sweep stage (default: %(default)s)")
    show.add_argument("--top", type=int, default=20, help="largest number of trials (default: %(default)s)")
    show.add_argument("--json", action="store_true", help="print the trials as JSON")
    show.set_defaults(run=run_show)


def run_show(args: argparse.Namespace) -> None:
    import dataclasses
    import json
    from pathlib import Path

    from dose.sweep.table import read_trials

    about, trials = read_trials(Path(args.dir) / args.drum)
    trials = trials[: max(args.top, 0)]
    if args.json:
        print(json.dumps({**about, "trials": [dataclasses.asdict(t) for t in trials]}, indent=2))
    else:
        print_table(about, trials)


def print_table(about: dict[str, Any], trials: "Sequence[Trial]") -> None:
    """`about` as `read_trials` returns it; trials best first."""
    from rich.console import Console
    from rich.table import Table

    from dose.sweep.table import SHOWN, varied

    searched = varied(trials)
    table = Table(title=f"{about['drum']}: trials by {about['select']}, lowest first", title_justify="left")
    for column in ("", *searched, "steps", "ended", *SHOWN, "saved as"):
        table.add_column(column, justify="left" if column in ("ended", "saved as") else "right")
    for rank, t in enumerate(trials, 1):
        # The models that the sweep saved: the best trial's and its paired ablation's.
        saved = [name for name in ("best", "ablation") if about.get(name) == t.id]
        hyper = [f"{v:g}" if isinstance(v := t.hyper.get(n), float) else str(v) for n in searched]
        scores = [f"{t.metrics[m]:.4g}" if m in t.metrics else "-" for m in SHOWN]
        table.add_row(str(rank), *hyper, str(t.steps), t.stopped or t.status, *scores, ", ".join(saved))
    Console(width=None).print(table)
