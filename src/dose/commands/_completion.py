"""`dose --print-completion SHELL`: the script that completes commands, options and file names in a shell."""

import argparse
from collections.abc import Iterator
from typing import Any

SHELLS = ("bash", "zsh", "tcsh")
FOLDERS, FILES = {"DIR"}, {"MIX", "PATH", "HTML", "FILE", "FOLDER"}  # metavars


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The completion of `parser` for `shell`, to be sourced by it."""
    import shtab

    for action in _actions(parser):
        # shtab completes choices by itself, and nothing where a value has none.
        name = action.metavar if isinstance(action.metavar, str) else None
        kind = shtab.DIRECTORY if name in FOLDERS else shtab.FILE if name in FILES else None
        if kind is not None and action.choices is None:
            action.complete = kind  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """The arguments of a parser and of all parsers below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _actions(child)
