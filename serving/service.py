"""The BentoML service, for `bentoml serve` in the project's root and for the Bento that is built from it."""

import os
import sys
from pathlib import Path

# numpy's BLAS reads its number of threads when it is loaded. In the worker process that happens before this
# line, but the supervisor imports this module first and the worker inherits its environment. One thread: the
# matrix products in numpy are small, and a second thread would compete with other processes of the machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A Bento runs the code that it was built from, not a version of the package that is installed beside it.
_SOURCE = str(Path(__file__).resolve().parent.parent / "src")
if _SOURCE not in sys.path:
    sys.path.insert(0, _SOURCE)

import bentoml  # noqa: E402

from dose import files  # noqa: E402
from serving.app import create_app  # noqa: E402
from serving.state import app_state  # noqa: E402

app = create_app()


@bentoml.service(
    name="dose",
    workers=1,  # one process owns the job store, the queue and the models; scale out with more services
    traffic={"timeout": 600},
    logging={"access": {"enabled": False}},  # serving.telemetry writes its own lines
)
@bentoml.asgi_app(app, path="/")
class Dose:
    """Drum one-shots out of a finished mix."""

    def __init__(self) -> None:
        files.die_with_parent()

    def __is_ready__(self) -> bool:
        return app_state(app).manager.ready
