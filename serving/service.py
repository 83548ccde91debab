"""The BentoML service: `bentoml serve` in the project's root, or of the Bento built from it."""

import os
import sys
from pathlib import Path

# numpy's BLAS takes its number of threads when it is loaded, which in the worker process has happened before
# this line; the supervisor imports this first and hands its environment on. One thread: those products are
# small, and a second one would only take time from whatever else runs beside the service.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A Bento runs the code it was built from, not whatever version happens to be installed beside it.
_SOURCE = str(Path(__file__).resolve().parent.parent / "src")
if _SOURCE not in sys.path:
    sys.path.insert(0, _SOURCE)

import bentoml  # noqa: E402

from dose import files  # noqa: E402
from serving.app import create_app  # noqa: E402

app = create_app()


@bentoml.service(
    name="dose",
    workers=1,  # one process owns the job store, the queue and the models; scale by starting more services
    traffic={"timeout": 600},
    logging={"access": {"enabled": False}},  # serving.telemetry writes its own lines
)
@bentoml.asgi_app(app, path="/")
class Dose:
    """Drum one-shots out of a finished mix."""

    def __init__(self) -> None:
        files.die_with_parent()

    def __is_ready__(self) -> bool:
        return app.state.house.engine.ready
