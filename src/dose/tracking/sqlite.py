"""SQLite files as MLflow stores: their addresses, and the creation of a database that a kill cannot spoil."""

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite file for SQLAlchemy, in whose addresses % and ? are special.

    MLflow creates a folder from whatever follows "sqlite:///", escaped as it is; it does not do so for other
    spellings of the driver.
    """
    plain = str(path)
    # SQLAlchemy decodes the path and cuts it at a question mark.
    escaped = plain.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{plain}" if escaped == plain else f"sqlite+pysqlite:///{escaped}"


def sqlite_path(uri: str) -> Path | None:
    """The file of such an address; None for any other store."""
    scheme, found, path = uri.partition(":///")
    if not found or scheme.partition("+")[0] != "sqlite" or not path:
        return None
    return Path(unquote(path.partition("?")[0]))


def create_database(path: Path) -> None:
    """Creates the file with MLflow's tables unless it exists; raises sqlite3.Error where it cannot be opened.

    The tables are created in a temporary file, which a kill may leave half done. It gets its name only if no
    other process was first, because that one may have begun to write.
    """
    from mlflow import MlflowClient

    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}") if new else path
    try:
        # MLflow retries for two minutes to open a file that cannot be opened; this fails at once.
        with contextlib.closing(sqlite3.connect(beside)) as database:
            database.execute("pragma schema_version")
        if new:
            MlflowClient(tracking_uri=sqlite_uri(beside)).search_experiments(max_results=1)
            with contextlib.suppress(FileExistsError):
                os.link(beside, path)
    finally:
        if new:
            beside.unlink(missing_ok=True)
