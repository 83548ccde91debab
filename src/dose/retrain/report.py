"""A run's report, report.md and report.html: its causes, the gate's evidence and verdicts, its outcome."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dose import files
from dose.retrain.run_state import PHASES, RunState

COLUMNS = ("drum", "family", "improvement", "superiority bound", "non-inferiority bound", "items", "verdict")
STYLE = "body{font:16px sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}"


def write(run: RunState, folder: Path) -> None:
    """Both files, each whole or not at all."""
    for name, text in (("report.md", markdown(run)), ("report.html", html_page(run))):
        with files.atomic(folder / name) as beside:
            beside.write_text(text)


def headline(run: RunState) -> str:
    """The run in one sentence."""
    # The report is written before the promotion and at the end: the outcome may be open.
    match run.outcome:
        case "promoted" if run.done["gate"].get("first"):
            return "The first models went into service."
        case "promoted":
            return f"{', '.join(run.promoted)} promoted: superior to the models that were in service."
        case "kept":
            return "The champions stay: no challenger passed the gate."
        case "failed":
            return f"Abandoned; the champions stay. {run.error}"
    passed = [d for d, v in _verdicts(run).items() if v["promote"]]
    return f"{', '.join(passed)} passed the gate." if passed else "No challenger passed the gate."


def markdown(run: RunState) -> str:
    lines = [f"# Retraining {run.id}", "", headline(run), "", *(f"- {cause}" for cause in run.causes), ""]
    if rows := _evidence_rows(run):
        lines += [_markdown_row(COLUMNS), _markdown_row(["---"] * len(COLUMNS))]
        lines += [*(_markdown_row(row) for row in rows), ""]
    for drum, reasons in _reasons(run).items():
        lines += [f"Against the {drum}:", "", *(f"- {reason}" for reason in reasons), ""]
    if sounds := _sounds(run):
        lines += ["Sounds:", "", *(f"- [{s}]({s})" for s in sounds), ""]
    lines += ["| phase | result |", "|---|---|"]
    lines += [f"| {p} | {_phase_result(run, p)} |" for p in PHASES]
    return "\n".join(lines) + "\n"


def html_page(run: RunState) -> str:
    """The same as one HTML file without external resources; it plays the sounds that the run wrote."""
    body = [f"<h1>Retraining {_escape(run.id)}</h1>", f"<p><strong>{_escape(headline(run))}</strong></p>"]
    body.append(_list(run.causes))
    if rows := _evidence_rows(run):
        body.append(_table(COLUMNS, rows))
    for drum, reasons in _reasons(run).items():
        body += [f"<h2>Against the {_escape(drum)}</h2>", _list(reasons)]
    if sounds := _sounds(run):
        body += ["<h2>Sounds</h2>", _players(sounds)]
    body.append(_table(("phase", "result"), [(p, _phase_result(run, p)) for p in PHASES]))
    title = f"<title>Retraining {_escape(run.id)}</title>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<style>{STYLE}</style>'
        f"<body>{''.join(body)}</body></html>\n"
    )


def _verdicts(run: RunState) -> dict[str, Any]:
    verdicts: dict[str, Any] = run.done.get("gate", {}).get("verdicts", {})
    return verdicts


def _sounds(run: RunState) -> list[str]:
    """Paths below the run's folder: the references and both models' one-shots of the same mixes."""
    sounds: list[str] = run.done.get("evaluate", {}).get("sounds", [])
    return sounds


def _evidence_rows(run: RunState) -> list[tuple[str, ...]]:
    """One row per drum and family, with the columns COLUMNS."""
    return [
        (
            drum,
            family,
            f"{e['improvement']:+.1%}",
            f"{e['superiority_bound']:+.1%}",
            f"{e['non_inferiority_bound']:+.1%}",
            str(e["items"]),
            "promote" if v["promote"] else "keep",
        )
        for drum, v in _verdicts(run).items()
        for family, e in v["evidence"].items()
    ]


def _reasons(run: RunState) -> dict[str, list[str]]:
    return {drum: v["reasons"] for drum, v in _verdicts(run).items() if v["reasons"]}


def _phase_result(run: RunState, phase: str) -> str:
    if phase in run.done:
        return str(run.done[phase].get("summary", "done"))
    if run.error.startswith(f"{phase}: "):
        return f"failed, attempt {run.attempts[phase]}: {run.error.partition(': ')[2]}"
    return "not done"


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _list(items: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_escape(item)}</li>" for item in items) + "</ul>"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_escape(c)}</th>" for c in header)
    body = "".join("<tr>" + "".join(f"<td>{_escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _players(sounds: list[str]) -> str:
    """A table of players: a row per item and drum, a column each for the reference and the models."""
    # File name -> folder -> path: the same mix and drum have one name in every folder.
    by_name: dict[str, dict[str, str]] = {}
    for path in sounds:
        folder, _, name = path.rpartition("/")
        by_name.setdefault(name, {})[folder] = path
    # Reference, champion, challenger.
    folders = sorted({folder for row in by_name.values() for folder in row}, reverse=True)
    head = "".join(f"<th>{_escape(Path(f).name)}</th>" for f in ("", *folders))
    body = ""
    for name, row in sorted(by_name.items()):
        players = "".join(f"<td>{_player(row[f]) if f in row else ''}</td>" for f in folders)
        body += f"<tr><td>{_escape(Path(name).stem)}</td>{players}</tr>"
    return f"<table><tr>{head}</tr>{body}</table>"


def _player(path: str) -> str:
    return f'<audio controls preload="none" src="{_escape(path)}"></audio>'


def _escape(text: str) -> str:
    return html.escape(text, quote=True)
