"""One line of progress for an evaluation."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def show() -> Iterator[Callable[[str, int, int], None]]:
    """A `progress(what, done, of)` that prints to stderr: a bar on a terminal, else a line per task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description:44s}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("evaluate", total=None)
        last = ""

        def progress(what: str, done: int, total: int) -> None:
            nonlocal last
            bar.update(task, description=what, completed=done, total=total or None)
            if not console.is_terminal and what != last:
                console.print(f"evaluate: {what}", highlight=False)
            last = what

        yield progress
