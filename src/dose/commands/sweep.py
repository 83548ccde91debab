"""`dose sweep`: the trials of a sweep, ranked."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dose.drums import DRUMS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
    """`about` as `read_trials` returns it; trials best first. Shows the metrics that fit the terminal."""
    from rich.console import Console

    from dose.sweep.table import SHOWN, as_good

    console = Console()
    # The metric that ranks comes first and stays.
    metrics = sorted((m for m in SHOWN if any(m in t.metrics for t in trials)), key=about["select"].__ne__)
    # Many searched keys: one column with a line for each.
    stacked = not _fits(console, _trials_table(about, trials, metrics[:1]))
    shown = list(metrics)
    while len(shown) > 1 and not _fits(console, _trials_table(about, trials, shown, stacked=stacked)):
        shown.pop()
    console.print(_trials_table(about, trials, shown, stacked=stacked))
    hidden = metrics[len(shown) :]
    if hidden:
        console.print(f"In a wider terminal, and with --json: {', '.join(hidden)}")
    close = as_good(trials, about["select"])
    if len(close) > 1:
        console.print(
            f"{len(close)} trials lie within one standard error (±) of the best. A larger "
            "sweep.generation_items tells more of them apart."
        )


def _score(metrics: "Mapping[str, float]", name: str) -> str:
    """A metric of a trial, with its standard error where it has one."""
    if name not in metrics:
        return "-"
    error = metrics.get(f"{name}_se")
    return f"{metrics[name]:.4g}" + (f" ±{error:.2g}" if error is not None else "")


def _fits(console: "Console", table: "Table") -> bool:
    # Measured as if there were room: a measure within the terminal is never wider than it.
    return console.measure(table, options=console.options.update(width=1000)).maximum <= console.width


def _trials_table(
    about: dict[str, Any], trials: "Sequence[Trial]", metrics: "Sequence[str]", *, stacked: bool = False
) -> "Table":
    """One row per trial; with `stacked` the searched keys are lines of one column."""
    from rich.table import Table

    from dose.sweep.table import trial_name, varied

    searched = varied(trials)
    table = Table(title=f"{about['drum']}: trials by {about['select']}, lowest first", title_justify="left")
    keys = ["searched"] if stacked else searched
    for column in ("", *keys, *(m.removeprefix("val/") for m in metrics), "steps", "ended", "saved as"):
        left = column in ("searched", "ended", "saved as")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    for rank, t in enumerate(trials, 1):
        # The models that the sweep saved: the best trial's, and those with and without onset loss.
        saved = [name for name in ("best", "ablation", "onset") if about.get(name) == t.id]
        hyper = [f"{v:g}" if isinstance(v := t.hyper.get(n), float) else str(v) for n in searched]
        if stacked:
            hyper = [trial_name(t.hyper, searched).replace(" ", "\n")]
        scores = [_score(t.metrics, m) for m in metrics]
        table.add_row(str(rank), *hyper, *scores, str(t.steps), t.stopped or t.status, ", ".join(saved))
    return table
