"""The end of `make demo`: prints the score table, the listening page and the next commands."""

from pathlib import Path

from dose.errors import MissingInputError

EVALUATE = Path("data/evaluate")
NEXT = """\
Read on:  {table}  (every metric, the paper's figures, exclusions)
Listen:   {page}
Next commands:
  make ui                                                         every trial, curve and sound, in a browser
  .venv/bin/bentoml serve                                         the service and its web page on port 3000
  .venv/bin/dose extract SONG.wav --out kit                       three one-shots from a song
The shipped models are the champions, the models just trained are their challengers:
  .venv/bin/dose promote all --reason "to try them"               into service; `dose rollback` undoes it"""


def report(folder: Path) -> str:
    """The text; raises MissingInputError where there is no evaluation."""
    summary = folder / "summary.md"
    if not summary.is_file():
        raise MissingInputError(f"{summary} is missing; `dvc repro` writes it.")
    page = (folder / "listening.html").resolve().as_uri()
    return f"{summary.read_text()}\n{NEXT.format(table=folder / 'table.md', page=page)}"


def main() -> None:
    try:
        print(report(EVALUATE))
    except MissingInputError as e:
        raise SystemExit(str(e)) from e


if __name__ == "__main__":
    main()
