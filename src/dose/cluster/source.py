"""The tree whose code runs: every process of a stage imports `dose` from the same one."""

import socket
from pathlib import Path

from dose.errors import DoseError

SOURCE = Path(__file__).resolve().parents[2]  # the folder on Python's path from which this process has `dose`


def check_source(driver: Path) -> None:
    """In a worker: raises DoseError unless it has `dose` from the same folder as the driver.

    Pickled functions name their module, which a worker imports from whatever it finds first: an image of the
    cluster may hold an older one.
    """
    if driver != SOURCE:
        raise DoseError(
            f"The driver runs the dose of {driver}, {socket.gethostname()} that of {SOURCE}; put the project "
            f"where all machines see it under the same path and start Ray on them with PYTHONPATH={driver}."
        )
