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
from serving.batching import Batcher
from serving.settings import ROOT, ServingConfig

Load = Callable[[Path], Any]


def find_bundle() -> Path:
    """DOSE_BUNDLE if set, else what the registry has in service, the project's own, or the shipped one."""
    from dose.extract import bundle

    if named := os.environ.get("DOSE_BUNDLE"):
        return Path(named)
    own = [ROOT / bundle.LIVE, ROOT / bundle.PACKAGED]
    return next((folder for folder in own if (folder / "bundle.json").is_file()), bundle.SHIPPED)


def load_extractor(folder: Path) -> Any:
    """The extractor that the lab scores, on a GPU where there is one."""
    import torch

    from dose.extract.extractor import Extractor

    return Extractor.load(folder, device="cuda" if torch.cuda.is_available() else "cpu")


def stamp(folder: Path) -> tuple[Any, ...]:
    """Changes when the bundle is replaced or the link to it is turned; costs two system calls."""
    manifest = (folder / "manifest.json").resolve()
    try:
        facts = manifest.stat()
    except OSError:
        return (str(manifest), None)
    return (str(manifest), facts.st_ino, facts.st_mtime_ns, facts.st_size)


class Models:
    """One loaded bundle: the extractor, with its passes joined across requests."""

    def __init__(self, extractor: Any, wait: float, rows: int) -> None:
        self.extractor = extractor
        self.batcher = Batcher(extractor.sample, wait, rows)
        extractor.sample = self.batcher

    @property
    def version(self) -> str:
        return str(self.extractor.bundle.version)

    def extract(self, *args: Any, **options: Any) -> Any:
        with self.batcher.at_work():
            return self.extractor.extract_blocks(*args, **options)


class Engine:
    """Hands out the models in use; loads and reloads in a thread of its own."""

    def __init__(
        self, config: ServingConfig, find: Callable[[], Path] = find_bundle, load: Load | None = None
    ) -> None:
        self.config, self._find, self._load = config, find, load or load_extractor
        self._models: Models | None = None
        self._loaded, self._stop = threading.Event(), threading.Event()
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

    def models(self, wait: float = 60.0) -> Models:
        """The models in use; waits for the first load, then 503 with the reason."""
        self._loaded.wait(wait)
        if self._models is None:
            raise Refusal(503, f"There are no models to work with: {self.problem}", 10)
        return self._models

    def _watch(self) -> None:
        while not self._stop.is_set():
            folder = self._find().resolve()  # a link may be turned again while its target is read
            now = stamp(folder)
            if now != self._stamp and (now[1] is not None or not self.ready):
                self._stamp = now
                self._try(folder)
            if self.ready and not self.config.reload_seconds:
                return
            self._stop.wait(self.config.reload_seconds or 2.0)

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
            telemetry.event("models failed", level=40, error=e, folder=str(folder))
        else:
            old = self._models
            self._models = Models(extractor, self.config.batch_wait_ms / 1000, self.config.batch_rows)
            self.problem = None
            self._loaded.set()
            if old:
                old.batcher.close()  # requests in work finish on the old models
            telemetry.RELOADS.labels("loaded").inc()
            seconds = round(time.perf_counter() - start, 2)
            telemetry.event(
                "models loaded", folder=str(folder), version=self._models.version, seconds=seconds
            )


def warm(extractor: Any) -> None:
    """One extraction of a second of clicks, so that the first caller does not pay for lazy set-up."""
    clicks = np.zeros((2, 44100), np.float32)
    clicks[:, ::11025] = 0.5
    extractor.extract_blocks([clicks], drums=DRUMS, candidates=1, seed=0)
