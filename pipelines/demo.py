"""What `make demo` says at its end: the score table, the listening page, and the commands to go on with."""

from pathlib import Path

from dose.errors import MissingInputError

EVALUATE = Path("data/evaluate")
NEXT = """\
Listen:   {page}
Go on with
  .venv/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db     every trial, curve and sound, in a browser
  .venv/bin/bentoml serve                                         the service and its web page on port 3000
  .venv/bin/dose extract SONG.wav --out kit                       three one-shots out of a song of yours"""


def report(folder: Path) -> str:
    """The text; raises MissingInputError when the evaluation has not been made."""
    table = folder / "table.md"
    if not table.is_file():
        raise MissingInputError(f"{table} is missing; `dvc repro` makes it.")
    return f"{table.read_text()}\n{NEXT.format(page=(folder / 'listening.html').resolve().as_uri())}"


def main() -> None:
    try:
        print(report(EVALUATE))
    except MissingInputError as e:
        raise SystemExit(str(e)) from e


if __name__ == "__main__":
    main()
