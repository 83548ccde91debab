"""The project to which a working folder belongs: where its MLflow store and its registry are."""

import os
from pathlib import Path


def project_folder(root: Path | str = ".") -> Path:
    """`root`; in the temporary workspace of a DVC experiment the folder of the project that started it.

    DVC copies a project's files to a workspace for `dvc exp run --temp` and for queued experiments, and
    deletes it at the end, with any store in it. It names the project in DVC_ROOT.
    """
    named = os.environ.get("DVC_ROOT")
    if named:
        project = Path(named).resolve()
        if Path(root).resolve().is_relative_to(project / ".dvc" / "tmp"):
            return project
    return Path(root)
