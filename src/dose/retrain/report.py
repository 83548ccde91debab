"""A run's report, report.md and report.html: why it ran, what the gate saw, what became of it."""

import html
from pathlib import Path
from typing import Any

from dose import files
from dose.retrain.run_state import PHASES, RunStateStore

COLUMNS = ("drum", "family", "improvement", "sure bound", "held bound", "items", "verdict")


def write(run: RunStateStore, folder: Path) -> None:
    """Both files, each whole or not at all."""
    for name, text in (("report.md", markdown(run)), ("report.html", page(run))):
        with files.atomic(folder / name) as beside:
            beside.write_text(text)


def headline(run: RunStateStore) -> str:
    """The run in one sentence."""
    match run.outcome:
        case "promoted" if run.done["gate"].get("first"):
            return "The first models went into service."
        case "promoted":
            return f"{', '.join(run.promoted)} promoted: surely better than what was in service."
        case "kept":
            return "The champions stay: no challenger passed the gate."
        case "failed":
            return f"Given up; the champions stay. {run.error}"
    promote = [d for d, v in _verdicts(run).items() if v["promote"]]
    return f"The gate lets {', '.join(promote)} through." if promote else "The gate lets nothing through."


def markdown(run: RunStateStore) -> str:
    lines = [f"# Retraining {run.id}", "", headline(run), "", *(f"- {cause}" for cause in run.causes), ""]
    if rows := _rows(run):
        lines += [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(row) for row in rows), ""]
    for drum, reasons in _reasons(run).items():
        lines += [f"Against the {drum}:", "", *(f"- {reason}" for reason in reasons), ""]
    if sounds := _sounds(run):
        lines += ["Sounds:", "", *(f"- [{s}]({s})" for s in sounds), ""]
    lines += ["| phase | result |", "|---|---|"]
    lines += [f"| {p} | {_told(run, p)} |" for p in PHASES]
    return "\n".join(lines) + "\n"


def page(run: RunStateStore) -> str:
    """The same in one file of HTML that loads nothing; sounds of the run play where the gate kept some."""
    parts = [f"<h1>Retraining {_safe(run.id)}</h1>", f"<p><strong>{_safe(headline(run))}</strong></p>"]
    parts.append("<ul>" + "".join(f"<li>{_safe(c)}</li>" for c in run.causes) + "</ul>")
    if rows := _rows(run):
        parts.append(_table(COLUMNS, rows))
    for drum, reasons in _reasons(run).items():
        parts.append(f"<h2>Against the {_safe(drum)}</h2>")
        parts.append("<ul>" + "".join(f"<li>{_safe(r)}</li>" for r in reasons) + "</ul>")
    if sounds := _sounds(run):
        parts += ["<h2>Sounds</h2>", _players(sounds)]
    parts.append(_table(("phase", "result"), [(p, _told(run, p)) for p in PHASES]))
    style = (
        "body{font:16px sans-serif;max-width:60em;margin:2em auto}td,th{padding:.2em .8em;text-align:left}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Retraining {_safe(run.id)}</title>'
        f"<style>{style}</style><body>{''.join(parts)}</body></html>\n"
    )


def _verdicts(run: RunStateStore) -> dict[str, Any]:
    return run.done.get("gate", {}).get("verdicts", {})


def _sounds(run: RunStateStore) -> list[str]:
    """Paths below the run's folder, of what both kits made of the same mixes."""
    return run.done.get("evaluate", {}).get("sounds", [])


def _rows(run: RunStateStore) -> list[tuple[str, ...]]:
    return [
        (
            drum, family, f"{e['value']:+.1%}", f"{e['sure']:+.1%}", f"{e['held']:+.1%}", str(e["n"]),
            "promote" if v["promote"] else "keep",
        )
        for drum, v in _verdicts(run).items()
        for family, e in v["evidence"].items()
    ]  # fmt: skip


def _reasons(run: RunStateStore) -> dict[str, list[str]]:
    return {drum: v["reasons"] for drum, v in _verdicts(run).items() if v["reasons"]}


def _told(run: RunStateStore, phase: str) -> str:
    if phase in run.done:
        return str(run.done[phase].get("says", "done"))
    if run.error.startswith(f"{phase}: "):
        return f"failed, attempt {run.attempts[phase]}: {run.error.partition(': ')[2]}"
    return "not done"


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _table(head, rows) -> str:
    top = "".join(f"<th>{_safe(c)}</th>" for c in head)
    body = "".join("<tr>" + "".join(f"<td>{_safe(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _players(sounds: list[str]) -> str:
    """A row per item and drum, a column per folder: the truth and what each kit made of the mix."""
    by_name: dict[str, dict[str, str]] = {}
    for path in sounds:
        folder, _, name = path.rpartition("/")
        by_name.setdefault(name, {})[folder] = path
    folders = sorted({folder for row in by_name.values() for folder in row}, reverse=True)
    head = "".join(f"<th>{_safe(Path(f).name)}</th>" for f in ("", *folders))
    body = ""
    for name, row in sorted(by_name.items()):
        cells = [
            f'<td><audio controls preload="none" src="{_safe(row[f])}"></audio></td>'
            if f in row
            else "<td></td>"
            for f in folders
        ]
        body += f"<tr><td>{_safe(Path(name).stem)}</td>{''.join(cells)}</tr>"
    return f"<table><tr>{head}</tr>{body}</table>"


def _player(path: str) -> str:
    return f'<audio controls preload="none" src="{_safe(path)}"></audio>'


def _safe(text: str) -> str:
    return html.escape(str(text), quote=True)
