"""One tree under its own names: what the probes ask for by a fixed name, they get by the tree's name."""

import functools
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import names

DRUMS = ("kick", "snare", "hihat")


class Tree:
    """A checkout of the project, its table of names, and a folder for what the probes write.

    `models` is the base commit's bundle, which both trees use.
    """

    def __init__(self, side: str, root: Path, scratch: Path, models: Path, quick: bool) -> None:
        self.table = {"old": names.OLD, "new": names.NEW}[side]
        self.root, self.scratch, self.quick = root.resolve(), scratch.resolve(), quick
        self.models = models.resolve()
        self._check(importlib.import_module("dose"))

    def name(self, key: str) -> str:
        """The tree's own name for `key`."""
        return self.table[key]

    def get(self, key: str) -> Any:
        """The object that `key` names, imported from this tree."""
        module_name, _, attribute = self.table[key].partition(":")
        module = importlib.import_module(module_name)
        self._check(module)
        return functools.reduce(getattr, attribute.split("."), module)

    def replace(self, key: str, value: Any) -> None:
        """Puts `value` in the places that `replace.KEY` names, "module:attribute" with spaces between."""
        for place in self.table[f"replace.{key}"].split():
            module_name, _, attribute = place.partition(":")
            module = importlib.import_module(module_name)
            self._check(module)
            getattr(module, attribute)  # raises AttributeError where there is nothing to replace
            setattr(module, attribute, value)

    def attr(self, owner: Any, key: str) -> Any:
        """The attribute of `owner` that `attr.KEY` names."""
        return getattr(owner, self.table[f"attr.{key}"])

    def kwargs(self, call: str, **values: Any) -> dict[str, Any]:
        """Keyword arguments under the tree's names, `kwarg.CALL.KEYWORD`."""
        return {self.table[f"kwarg.{call}.{key}"]: value for key, value in values.items()}

    def path(self, key: str) -> Path:
        """The file or folder that `path.KEY` names."""
        return self.root / self.table[f"path.{key}"]

    def logical(self, kind: str, name: str) -> str:
        """The probes' name for a name of the tree; the same name where the table has none."""
        return self._reverse(kind).get(name, name)

    def command(self, key: str, *positional: object, **options: object) -> list[str]:
        """A command line; an option whose value is True is a flag."""
        words = [*self.table[f"cli.{key}"].split(), *map(str, positional)]
        for option, value in options.items():
            words.append(self.table[f"cli.{key}.{option}"])
            words += [] if value is True else [str(value)]
        return words

    def params(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The tree's params.yaml with `changes`, whose keys are those of the table without `params.`."""
        import yaml

        whole: dict[str, Any] = yaml.safe_load(self.path("params").read_text())
        for key, value in changes.items():
            *parents, last = self.table[f"params.{key}"].split(".")
            section = functools.reduce(lambda node, part: node[part], parents, whole)
            if last not in section:
                raise KeyError(f"params.yaml has no key {self.table[f'params.{key}']}")
            section[last] = value
        return whole

    def config(self, cls: str, section: str, changes: Mapping[str, Any]) -> Any:
        """A section of params.yaml with `changes`, as an instance of the class that `cls` names."""
        dotted = self.table[f"section.{section}"]
        values = functools.reduce(lambda node, part: node[part], dotted.split("."), self.params(changes))
        return self.get("parse")(self.get(cls), values, dotted)

    @functools.cache  # noqa: B019 (one tree per process)
    def _reverse(self, kind: str) -> dict[str, str]:
        prefix = f"{kind}."
        return {v: k.removeprefix(prefix) for k, v in self.table.items() if k.startswith(prefix)}

    def _check(self, module: Any) -> None:
        """Ends the process where a module is not this tree's own."""
        file = Path(module.__file__).resolve()
        if not file.is_relative_to(self.root):
            sys.exit(f"{module.__name__} was imported from {file} and not from {self.root}.")
