"""What `make demo` says at its end: the score table, the listening page, and the commands to go on with."""

from pathlib import Path

from dose.errors import MissingInputError

EVALUATE = Path("data/evaluate")
NEXT = """\
Read on:  {table}  (every metric, the paper's figures, exclusions)
Listen:   {page}
Go on with
  .venv/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db     every trial, curve and sound, in a browser
  .venv/bin/bentoml serve                                         the service and its web page on port 3000
  .venv/bin/dose extract SONG.wav --out kit                       three one-shots out of a song of yours
The shipped models are the champions, what was trained just now is their challenger:
  .venv/bin/dose promote all --reason "to hear them"              into service; `dose rollback` undoes it"""


def report(folder: Path) -> str:
    """The text; raises MissingInputError when the evaluation has not been made."""
    summary = folder / "summary.md"
    if not summary.is_file():
        raise MissingInputError(f"{summary} is missing; `dvc repro` makes it.")
    page = (folder / "listening.html").resolve().as_uri()
    return f"{summary.read_text()}\n{NEXT.format(table=folder / 'table.md', page=page)}"


def main() -> None:
    try:
        print(report(EVALUATE))
    except MissingInputError as e:
        raise SystemExit(str(e)) from e


if __name__ == "__main__":
    main()
