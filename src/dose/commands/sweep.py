"""`dose sweep`: what the sweeps found."""

import argparse

from dose.drums import DRUMS

EXAMPLE = """example:
  dose sweep show kick
  dose sweep show snare --top 5 --json
"""


def register(subparsers) -> None:
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
    show.add_argument("--top", type=int, default=20, help="so many trials at most (default: %(default)s)")
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


def print_table(about, trials) -> None:
    from rich.console import Console
    from rich.table import Table

    from dose.sweep.table import SHOWN, varied

    searched = varied(trials)
    table = Table(title=f"{about['drum']}: trials by {about['select']}, lowest first", title_justify="left")
    for column in ("", *searched, "steps", "ended", *SHOWN, "kept as"):
        table.add_column(column, justify="left" if column in ("ended", "kept as") else "right")
    for rank, t in enumerate(trials, 1):
        kept = [name for name in ("best", "ablation") if about.get(name) == t.id]
        hyper = [f"{v:g}" if isinstance(v := t.hyper.get(n), float) else str(v) for n in searched]
        scores = [f"{t.metrics[m]:.4g}" if m in t.metrics else "-" for m in SHOWN]
        table.add_row(str(rank), *hyper, str(t.steps), t.stopped or t.status, *scores, ", ".join(kept))
    Console(width=None).print(table)
