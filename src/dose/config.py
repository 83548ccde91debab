"""One section of params.yaml becomes one frozen dataclass, strictly.

Each dataclass stands beside the code it configures. Every field must be present in the file, also where the
dataclass has a default (defaults serve tests and direct use), so that params.yaml always shows the whole
truth and a renamed key can never fall back to a default in silence.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dose.errors import ConfigError, MissingInputError

T = TypeVar("T")
PARAMS = Path("params.yaml")


def load(section: str, cls: type[T], path: Path | str = PARAMS) -> T:
    """The params file's `section` as an instance of `cls`.

    Raises MissingInputError if the file is absent, ConfigError if it does not fit.
    """
    return parse(cls, read_section(section, path), f"{path}: {section}")


def read_section(section: str, path: Path | str = PARAMS) -> dict[str, Any]:
    """The raw mapping under `section`, for hashing and for sections with free-form parts."""
    import yaml  # here, so that training runs where only torch and numpy are

    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"There is no {path} here; run this from the project's root folder.")
    try:
        whole = yaml.safe_load(path.read_text())
    except yaml.YAMLError as e:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(e).split())}.") from e
    if not isinstance(whole, dict) or not isinstance(whole.get(section), dict):
        raise ConfigError(f"{path} has no section '{section}'.")
    return whole[section]


def parse(cls: type[T], values: Any, where: str) -> T:
    """Checks `values` field by field against the dataclass `cls` and builds it.

    `where` prefixes every message, as in "params.yaml: rmod.kick.gain_db". Lists become tuples where the
    field is a tuple. A ValueError from __post_init__ is reported the same way.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a mapping, not {values!r}.")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(map(str, values)) - set(fields))
    missing = sorted(set(fields) - set(map(str, values)))
    if unknown:
        raise ConfigError(
            f"{where} has unknown keys: {', '.join(unknown)} (known: {', '.join(sorted(fields))})."
        )
    if missing:
        raise ConfigError(f"{where} lacks keys: {', '.join(missing)}.")
    hints = typing.get_type_hints(cls)
    built = {name: _value(hints[name], values[name], f"{where}.{name}") for name in fields}
    try:
        return cls(**built)
    except ValueError as e:
        raise ConfigError(f"{where}: {e}") from e


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, where)  # type: ignore[arg-type]
    if origin in (typing.Union, types.UnionType):
        return _union(args, value, where)
    if origin is typing.Literal:
        if value not in args or isinstance(value, bool) != any(
            isinstance(a, bool) for a in args if a == value
        ):
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, args))}, not {value!r}.")
        return value
    if origin is tuple:
        return _tuple(args, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, not {value!r}.")
        return {_value(args[0], k, where): _value(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {_name(hint)}, not {value!r}.")
    return value


def _union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    for arg in args:
        if arg is not type(None):
            try:
                return _value(arg, value, where)
            except ConfigError as e:
                error = e
    raise error


def _tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} must be a list, not {value!r}.")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_value(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(args):
        raise ConfigError(f"{where} must have {len(args)} entries, not {len(value)}.")
    return tuple(_value(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True)))


def _name(hint: type) -> str:
    return {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}.get(
        hint.__name__, hint.__name__
    )
