"""The models in service: loaded once, warmed before use, replaced while running when the bundle moves."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from serving import telemetry
from serving.admission import Refusal
from serving.settings import ROOT

Load = Callable[[Path], Any]


def find_bundle() -> Path:
    """DOSE_BUNDLE if set, else the project's own bundle, else the one shipped with the package."""
    from dose.extract import bundle

    if named := os.environ.get("DOSE_BUNDLE"):
        return Path(named)
    packaged = ROOT / bundle.PACKAGED
    return packaged if (packaged / "bundle.json").is_file() else bundle.SHIPPED


def load_extractor(folder: Path) -> Any:
    from dose.extract.extractor import Extractor

    return Extractor.load(folder)


def stamp(folder: Path) -> tuple[Any, ...]:
    """Changes when the bundle is replaced or the link to it is turned; costs two system calls."""
    manifest = (folder / "manifest.json").resolve()
    try:
        facts = manifest.stat()
    except OSError:
        return (str(manifest), None)
    return (str(manifest), facts.st_ino, facts.st_mtime_ns, facts.st_size)


class Engine:
    """Hands out the current extractor; loads and reloads in a thread of its own."""

    def __init__(
        self, reload_seconds: float, find: Callable[[], Path] = find_bundle, load: Load | None = None
    ) -> None:
        self._find, self._load, self._every = find, load or load_extractor, reload_seconds
        self._current: Any = None
        self._loaded = threading.Event()
        self._stop = threading.Event()
        self._stamp: tuple[Any, ...] | None = None
        self._thread = threading.Thread(target=self._watch, name="models", daemon=True)
        self.problem: str | None = "The models are being loaded."

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def ready(self) -> bool:
        return self._loaded.is_set()

    def extractor(self, wait: float = 60.0) -> Any:
        """The current extractor; waits for the first load, then 503 with the reason."""
        if not self._loaded.wait(wait):
            raise Refusal(503, f"There are no models to work with: {self.problem}", 10)
        return self._current

    def _watch(self) -> None:
        while not self._stop.is_set():
            folder = self._find()
            now = stamp(folder)
            if now != self._stamp and (now[1] is not None or not self.ready):
                self._stamp = now
                self._try(folder)
            if self.ready and not self._every:
                return
            self._stop.wait(self._every or 2.0)

    def _try(self, folder: Path) -> None:
        start = time.perf_counter()
        try:
            extractor = self._load(folder)
            warm(extractor)
        except MissingInputError as e:
            self.problem = str(e)
            telemetry.event("models missing", problem=self.problem)
        except Exception as e:  # a broken new bundle must not take the working one down
            self.problem = str(e) if isinstance(e, DoseError) else f"{folder} could not be loaded."
            telemetry.RELOADS.labels("failed").inc()
            telemetry.event("models failed", error=e, folder=str(folder))
        else:
            self._current, self.problem = extractor, None
            self._loaded.set()
            telemetry.RELOADS.labels("loaded").inc()
            telemetry.event(
                "models loaded", folder=str(folder), seconds=round(time.perf_counter() - start, 2)
            )


def warm(extractor: Any) -> None:
    """One extraction of a second of clicks, so that the first caller does not pay for lazy set-up."""
    clicks = np.zeros((2, 44100), np.float32)
    clicks[:, ::11025] = 0.5
    extractor.extract(clicks, 44100, drums=DRUMS, candidates=1, seed=0)
