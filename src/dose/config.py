"""One section of params.yaml becomes one frozen dataclass, strictly.

Each dataclass stands beside the code it configures. Every field must be present in the file, also where the
dataclass has a default (defaults serve tests and direct use), so that params.yaml always shows every setting
and a misspelt key can never fall back to a default in silence. Fields marked `optional` are the exception:
settings that define the method and that nobody is expected to change.

Keys and values that were renamed stay readable for one release: see `was` and `Removed`. Outputs hold renamed
keys under both names for as long: see `with_old_names`.
"""

import dataclasses
import logging
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from dose.errors import ConfigError, MissingInputError

T = TypeVar("T")
PARAMS = Path("params.yaml")

log = logging.getLogger(__name__)
_announced: set[str] = set()  # renames that were logged already, so that each is logged once per process


def was(key: str | None = None, *, values: Mapping[Any, Any] | None = None) -> dict[str, Any]:
    """Metadata of a dataclass field that had another name, or whose values had: `field(metadata=was("old"))`.

    `key` is the old name, None where only values changed. `values` maps old values to new ones; in a list it
    applies to each element.
    """
    return {"was": key, "was_values": dict(values or {})}


def optional() -> dict[str, Any]:
    """Metadata of a field that params.yaml may leave out: `field(default=..., metadata=optional())`."""
    return {"optional": True}


@dataclasses.dataclass(frozen=True)
class Removed:
    """A key that is no longer read, in a config class's `REMOVED: ClassVar[dict[str, Removed]]`.

    A file that still has it is accepted where it holds `neutral`, the value under which it had no effect.
    """

    neutral: Any
    reason: str  # ends the error's sentence: "...; shared models are no longer supported"


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
    found: dict[str, Any] = whole[section]
    return found


def parse(cls: type[T], values: Any, where: str, *, announce: bool = True) -> T:
    """Checks `values` field by field against the dataclass `cls` and builds it.

    `where` prefixes every message, as in "params.yaml: rmod.kick.gain_db". Lists become tuples where the
    field is a tuple. A ValueError from __post_init__ is reported the same way. Old names and values are
    replaced by today's; `announce` logs each of them once, and is False for stored files that nobody edits.
    """
    renames: list[str] = []
    built = _build(cls, values, where, renames)
    if announce:
        _announce(renames)
    return built


def current(cls: type, key: str, value: Any, where: str) -> tuple[str, Any]:
    """Today's name and value of one setting of `cls`, by a dotted `key` that may hold old names.

    A key that `cls` does not have is returned as it is, for the caller to reject. Raises ConfigError where a
    key was removed and its value is not the neutral one; the name is "" where it is.
    """
    names: list[str] = []
    renames: list[str] = []
    # Walk down the nested dataclasses; what lies inside a dict or another plain value has no old names.
    *path, last = key.split(".")
    owner: Any = cls
    for name in path:
        if not dataclasses.is_dataclass(owner):
            return key, value
        fields = _old_names(owner)
        names.append(fields.get(name, name))
        owner = typing.get_type_hints(owner).get(names[-1])  # type: ignore[arg-type]
    if not dataclasses.is_dataclass(owner):
        return key, value
    found = _current_names(owner, {last: value}, ".".join([where, *path]), renames)  # type: ignore[arg-type]
    _announce(renames)
    if not found:
        return "", None
    ((name, value),) = found.items()
    return ".".join([*names, str(name)]), value


def with_old_names(values: Mapping[str, T], old_names: Mapping[str, str]) -> dict[str, T]:
    """`values`, the renamed ones a second time under their old name: {today's name: old name}."""
    return {**values, **{old_names[name]: value for name, value in values.items() if name in old_names}}


def _announce(renames: list[str]) -> None:
    for rename in renames:
        if rename not in _announced:
            _announced.add(rename)
            log.warning("%s (still accepted for one release).", rename)


def _old_names(cls: Any) -> dict[str, str]:
    """Old name -> today's, of the fields of a dataclass that were renamed."""
    return {f.metadata["was"]: f.name for f in dataclasses.fields(cls) if f.metadata.get("was")}


def _current_names(cls: type, values: Mapping[Any, Any], where: str, renames: list[str]) -> dict[Any, Any]:
    """`values` under today's names and with today's values; a sentence for each change goes to `renames`."""
    old_names = _old_names(cls)
    removed: Mapping[str, Removed] = getattr(cls, "REMOVED", {})
    new_values = {
        f.name: f.metadata.get("was_values") or {}
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
    }
    found: dict[Any, Any] = {}
    for key, value in values.items():
        # A removed key: dropped where it had no effect.
        if key in removed:
            if not _same(value, removed[key].neutral):
                raise ConfigError(
                    f"{where}.{key} must be removed, or {removed[key].neutral!r}: {removed[key].reason}."
                )
            renames.append(f"{where}.{key} has no effect any more")
            continue
        # A renamed key; both names at once would leave one of the two values unused.
        name = old_names.get(key, key)
        if name != key:
            if name in values:
                raise ConfigError(f"{where} has both {name} and {key}, which is its old name; remove {key}.")
            renames.append(f"{where}.{key} is called {name} now")
        found[name] = _current_value(value, new_values.get(name, {}), f"{where}.{name}", renames)
    return found


def _current_value(value: Any, new_values: Mapping[Any, Any], where: str, renames: list[str]) -> Any:
    if isinstance(value, list | tuple):
        return [_current_value(v, new_values, where, renames) for v in value]
    if isinstance(value, str | bool | int) and value in new_values:
        renames.append(f"{where}: {value} is called {new_values[value]} now")
        return new_values[value]
    return value


def _same(value: Any, neutral: Any) -> bool:
    """Equal, where an empty list of a file and an empty tuple of code are the same."""
    if isinstance(value, list | tuple) and isinstance(neutral, list | tuple):
        return list(value) == list(neutral)
    return bool(value == neutral)


def _build(cls: type[T], values: Any, where: str, renames: list[str]) -> T:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a mapping, not {values!r}.")
    values = _current_names(cls, values, where, renames)
    # Every field exactly once: a default never stands in for a missing key.
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(map(str, values)) - set(fields))
    absent = set(fields) - set(map(str, values))
    missing = sorted(name for name in absent if not fields[name].metadata.get("optional"))
    if unknown:
        raise ConfigError(
            f"{where} has unknown keys: {', '.join(unknown)} (known: {', '.join(sorted(fields))})."
        )
    if missing:
        raise ConfigError(f"{where} lacks keys: {', '.join(missing)}.")
    hints = typing.get_type_hints(cls)
    built = {
        name: _value(hints[name], values[name], f"{where}.{name}", renames)
        for name in fields
        if name in values
    }
    try:
        return cls(**built)
    except ValueError as e:
        raise ConfigError(f"{where}: {e}") from e


def _value(hint: Any, value: Any, where: str, renames: list[str]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where, renames)  # type: ignore[arg-type]
    if origin in (typing.Union, types.UnionType):
        return _union(args, value, where, renames)
    if origin is typing.Literal:
        # `True == 1` in Python, but not here.
        if value not in args or isinstance(value, bool) != any(
            isinstance(a, bool) for a in args if a == value
        ):
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, args))}, not {value!r}.")
        return value
    if origin is tuple:
        return _tuple(args, value, where, renames)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, not {value!r}.")
        return {
            _value(args[0], k, where, renames): _value(args[1], v, f"{where}.{k}", renames)
            for k, v in value.items()
        }
    # YAML reads "2" as an integer where a float is meant.
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {_name(hint)}, not {value!r}.")
    return value


def _union(args: tuple[Any, ...], value: Any, where: str, renames: list[str]) -> Any:
    if value is None and type(None) in args:
        return None
    for arg in args:
        if arg is not type(None):
            tried: list[str] = []  # renames within an alternative that does not fit are none
            try:
                found = _value(arg, value, where, tried)
            except ConfigError as e:
                error = e
            else:
                renames += tried
                return found
    raise error


def _tuple(args: tuple[Any, ...], value: Any, where: str, renames: list[str]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{where} must be a list, not {value!r}.")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_value(args[0], v, f"{where}[{i}]", renames) for i, v in enumerate(value))
    if len(value) != len(args):
        raise ConfigError(f"{where} must have {len(args)} entries, not {len(value)}.")
    return tuple(
        _value(a, v, f"{where}[{i}]", renames) for i, (a, v) in enumerate(zip(args, value, strict=True))
    )


def _name(hint: type) -> str:
    return {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}.get(
        hint.__name__, hint.__name__
    )
