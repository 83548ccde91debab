"""Pages of the documentation that are generated while mkdocs builds it: mkdocs.yml names this file as a hook.

The command line's comes from its parser, the parameters' from the dataclasses that read params.yaml, and the
HTTP API's from its OpenAPI document, so that none of them can say what the code does not do.
"""

import argparse
import dataclasses
import inspect
import io
import json
import re
import tokenize
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """mkdocs calls it once it has listed the pages that are files."""
    pages = {
        "reference/cli.md": cli_page(),
        "reference/params.md": params_page(),
        "reference/http.md": http_page(),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def cli_page() -> str:
    from dose import cli

    parser = cli.build_parser()
    lines = [
        "# Command line",
        "",
        _escape(parser.description or ""),
        "",
        "```text",
        *_epilog(parser),
        "```",
        "",
    ]
    for name, child in _commands(parser):
        lines += [f"## {parser.prog} {name}", "", _sentence(child.description or child.help_text), ""]
        lines += ["```text", child.format_usage().removeprefix("usage: ").rstrip(), "```", ""]
        rows = [row for action in child._actions if (row := _option(action))]
        if rows:
            lines += ["| argument | meaning | default |", "|---|---|---|", *rows, ""]
        if child.epilog:
            lines += ["```text", *_epilog(child), "```", ""]
    return "\n".join(lines)


def _commands(parser: argparse.ArgumentParser, above: str = "") -> Iterator[tuple[str, Any]]:
    """All commands and those below them, each with the text that its list shows as `help_text`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help for choice in action._choices_actions}
            for name, child in action.choices.items():
                child.help_text = texts.get(name) or ""
                child.formatter_class = _WideHelp
                yield f"{above}{name}", child
                yield from _commands(child, f"{above}{name} ")


class _WideHelp(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


def _epilog(parser: argparse.ArgumentParser) -> list[str]:
    return (parser.epilog or "").rstrip().splitlines()


def _sentence(text: str) -> str:
    return _escape(text[:1].upper() + text[1:].removesuffix(".") + ".")


def _option(action: argparse.Action) -> str | None:
    """A row of the table; None for --help, for a list of commands and for what is hidden."""
    if (
        isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        or action.help == argparse.SUPPRESS
    ):
        return None
    value = "" if action.nargs == 0 else f" {_value(action)}"
    names = ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{_value(action)}`"
    if action.required and action.option_strings:
        names += " (required)"
    text = (action.help or "") % {**vars(action), "prog": "dose"}
    # Flags are off by default, and many texts name the default themselves.
    named = action.nargs == 0 or action.required or "default" in text
    shown = "" if named or action.default in (None, argparse.SUPPRESS) else f"`{action.default}`"
    return f"| {names} | {_escape(text)} | {shown} |"


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return (action.dest or "").upper()


def params_page() -> str:
    from dose.baselines.larsnet_train import LarsNetConfig
    from dose.codec.config import CodecConfig
    from dose.evaluate.config import EvaluateConfig
    from dose.retrain.config import RetrainConfig
    from dose.rmod import RmodConfig
    from dose.sources.config import SourcesConfig
    from dose.sweep import SweepConfig
    from dose.tokens.encode import TokensConfig
    from dose.transcription.config import TranscriptionConfig
    from pipelines.package import PackageConfig
    from serving.settings import ServingConfig

    sections = {
        "sources": SourcesConfig,
        "rmod": RmodConfig,
        "codec": CodecConfig,
        "transcription": TranscriptionConfig,
        "tokens": TokensConfig,
        "sweep": SweepConfig,
        "evaluate": EvaluateConfig,
        "larsnet": LarsNetConfig,
        "package": PackageConfig,
        "serving": ServingConfig,
        "retrain": RetrainConfig,
    }
    text = (ROOT / "params.yaml").read_text()
    values, comments = yaml.safe_load(text), yaml_comments(text)
    if missing := values.keys() ^ sections.keys():
        raise KeyError(f"params.yaml and docs/reference.py differ in the sections {sorted(missing)}")
    lines = [
        "# params.yaml",
        "",
        "Every setting, its type, its value at the committed (laptop) scale, and what it means.",
        "`make scale SCALE=paper` writes another scale. Values in brackets are those of settings that the",
        "file leaves out, because they define the method.",
        "",
    ]
    for name, cls in sections.items():
        lines += [f"## {name}", ""]
        lines += ["| key | type | value | meaning |", "|---|---|---|---|"]
        lines += _rows(cls, name, values[name], comments)
        lines.append("")
    return "\n".join(lines)


def _rows(
    cls: type, path: str, values: Any, comments: Mapping[str, str], left_out: bool = False
) -> Iterator[str]:
    """A row per setting, those of nested dataclasses after the row of their key."""
    hints, own = typing.get_type_hints(cls), field_comments(cls)
    for field in dataclasses.fields(cls):
        hint, key = hints[field.name], f"{path}.{field.name}"
        by_default = left_out or field.name not in values
        value = values[field.name] if field.name in values else _default_of(field)
        nested = [t for t in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(t)]
        meaning = comments.get(key) or own.get(field.name) or (_first(nested[0]) if nested else "")
        shown = "" if nested and value and isinstance(value, Mapping | list) else f"`{_plain(value)}`"
        shown = f"({shown})" if by_default and shown else shown
        cells = (f"`{key.partition('.')[2]}`", _type(hint), shown, meaning)
        yield f"| {' | '.join(map(_escape, cells))} |"
        # The items of a list or a mapping have no settings of their own to list.
        if typing.get_origin(hint) not in (dict, tuple, list):
            for inner in nested:
                yield from _rows(inner, key, value or {}, comments, by_default)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    """A default in YAML's types."""
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        default = dataclasses.asdict(default)
    return json.loads(json.dumps(default, default=dataclasses.asdict))


def _first(cls: Any) -> str:
    """The first sentence of a docstring; none of those that dataclass writes."""
    text = " ".join((inspect.getdoc(cls) or "").split())
    return "" if text.startswith(f"{cls.__name__}(") else re.split(r"(?<=\.)\s", text)[0]


def _plain(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def _type(hint: Any) -> str:
    if hint is types.NoneType:
        return "null"
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(str, typing.get_args(hint)))
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return " or ".join(map(_type, typing.get_args(hint)))
    if dataclasses.is_dataclass(hint):
        return "section"
    if typing.get_origin(hint) in (tuple, list):
        inner = [_type(t) for t in typing.get_args(hint) if t is not Ellipsis]
        return f"list of {', '.join(dict.fromkeys(inner))}"
    if typing.get_origin(hint) is dict:
        return f"mapping to {_type(typing.get_args(hint)[1])}"
    return {"str": "text", "bool": "true, false", "int": "integer", "float": "number"}.get(
        getattr(hint, "__name__", ""), getattr(hint, "__name__", str(hint))
    )


def yaml_comments(text: str) -> dict[str, str]:
    """Dotted key -> the comment at the end of its line."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not (match := re.match(r"( *)([\w]+):(?:\s|$)(.*)", line)):
            continue
        depth, name, rest = len(match[1]), match[2], match[3]
        above = [(d, n) for d, n in above if d < depth] + [(depth, name)]
        if comment := re.search(r"(?:^|\s)# ?(.*)$", rest):
            found[".".join(n for _, n in above)] = comment[1]
    return found


def field_comments(cls: type) -> dict[str, str]:
    """Field -> the comment at the end of its line in the dataclass, or those on the lines just before it."""
    lines = inspect.getsource(cls).splitlines(keepends=True)
    comments: dict[int, tuple[str, bool]] = {}  # line -> its comment, and whether it stands alone
    for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = (token.string.lstrip("# "), not token.line[: token.start[1]].strip())
    found = {}
    for number, line in enumerate(lines, 1):
        if not (match := re.match(r" {4}(\w+): ", line)):
            continue
        if number in comments:
            found[match[1]] = comments[number][0]
            continue
        before, block = number - 1, list[str]()
        while before in comments and comments[before][1]:
            block.insert(0, comments[before][0])
            before -= 1
        if block:
            found[match[1]] = " ".join(block)
    return found


def http_page() -> str:
    from serving.app import create_app

    document = create_app().openapi()
    lines = [
        "# HTTP API",
        "",
        "[The service](../serving.md) serves the whole document at `/openapi.json`.",
        "",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            lines += [f"## {method.upper()} {path}", ""]
            rows = [
                f"| `{p['name']}` | {p['in']} | {_escape(p.get('description', ''))} | "
                f"{_escape(_default(p.get('schema', {})))} |"
                for p in operation.get("parameters", [])
            ]
            if rows:
                lines += ["| parameter | in | meaning | default |", "|---|---|---|---|", *rows, ""]
            lines += ["| status | meaning |", "|---|---|"]
            answers = operation["responses"].items()
            lines += [f"| {status} | {_escape(answer['description'])} |" for status, answer in answers]
            lines.append("")
    return "\n".join(lines)


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in (None, "") else f"`{default}`"


def _escape(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
