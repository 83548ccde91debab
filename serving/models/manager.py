"""Models in service: loaded once, warmed up before use, replaced while running when the bundle changes."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.extract.result import Kit
from serving import telemetry
from serving.limits import APIError
from serving.models import registry_client
from serving.models.batcher import Batcher
from serving.models.canary import CanaryRollout, OutcomeWindow
from serving.settings import ROOT, ServingConfig

Load = Callable[[Path], Any]
Fingerprint = tuple[Any, ...]  # path of the manifest, and its inode, modification time and size

_RETRY_SECONDS = 2.0  # between attempts to load the first models, where `reload_seconds` is 0
_LOAD_RETRY_AFTER = 10  # seconds, in a 503 before the models are loaded


def find_bundle() -> Path:
    """DOSE_BUNDLE if set, else the bundle in use in the project that contains the service."""
    from dose.bundle import in_use

    named = os.environ.get("DOSE_BUNDLE")
    return Path(named) if named else in_use(ROOT)


def load_extractor(folder: Path) -> Any:
    """The extractor that the stage `evaluate` scores, on a GPU where there is one."""
    from dose.extract.extractor import Extractor

    return Extractor(folder)


def fingerprint(folder: Path) -> Fingerprint:
    """Changes when the bundle is replaced or its link points elsewhere; costs two system calls."""
    manifest = (folder / "manifest.json").resolve()
    try:
        status = manifest.stat()
    except OSError:
        return (str(manifest), None)
    return (str(manifest), status.st_ino, status.st_mtime_ns, status.st_size)


class LoadedModels:
    """One loaded bundle: the extractor, its batcher, and the outcomes of its last extractions."""

    def __init__(self, extractor: Any, config: ServingConfig, bundle_print: Fingerprint) -> None:
        self.extractor, self.fingerprint = extractor, bundle_print
        self.batcher = Batcher(extractor.sample, config.batch_wait_ms / 1000, config.batch_size)
        self.window = OutcomeWindow(config.canary.requests)
        # From here on all decoding of this extractor goes through the batcher.
        extractor.sample = self.batcher

    @property
    def version(self) -> str:
        return str(self.extractor.bundle.version)

    @property
    def folder(self) -> Path:
        return Path(self.fingerprint[0]).parent

    def extract(self, *args: Any, **options: Any) -> Kit:
        """As `Extractor.extract_blocks`, with batches shared across requests."""
        with self.batcher.active_request():
            kit: Kit = self.extractor.extract_blocks(*args, **options)
        return kit


class ModelManager:
    """Selects the models for each request; loads and reloads them in a thread of its own."""

    def __init__(
        self,
        config: ServingConfig,
        find: Callable[[], Path] = find_bundle,
        load: Load | None = None,
        roll_back: Callable[[Path, Path, str], None] = registry_client.roll_back,
    ) -> None:
        self.config, self._find, self._load, self._roll_back = config, find, load or load_extractor, roll_back
        self._models: LoadedModels | None = None
        self.rollout: CanaryRollout[LoadedModels] | None = None
        self._rejected: set[Fingerprint] = set()  # bundles that failed a rollout
        self._seen: Fingerprint | None = None  # of the last bundle that was loaded or failed to load
        self._swap = threading.Lock()  # held while the models in service or the rollout change
        self._loaded, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="models", daemon=True)
        self.problem: str | None = "The models are being loaded."

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def ready(self) -> bool:
        return self._loaded.is_set()

    @property
    def version(self) -> str:
        """Of the models that answer most requests; empty before any are loaded."""
        rollout = self.rollout
        # During a rollout the share decides which models answer most requests.
        models = rollout.canary if rollout and rollout.config.share > 0.5 else self._models
        return models.version if models else ""

    def models_for(self, request_id: str = "", wait: float = 60.0) -> LoadedModels:
        """The models that answer the request.

        Waits up to `wait` seconds for the first load, then raises APIError (503) with the reason.
        """
        self._loaded.wait(wait)
        if self._models is None:
            raise APIError(503, f"There are no models to work with: {self.problem}", _LOAD_RETRY_AFTER)
        rollout = self.rollout
        return rollout.route(request_id) if rollout else self._models

    def record(self, models: LoadedModels, confidence: float | None) -> None:
        """Records an extraction's outcome, None for a failure of the models; ends a decided rollout."""
        models.window.add(confidence)
        telemetry.EXTRACTIONS.labels(models.version, "failed" if confidence is None else "ok").inc()
        if confidence is not None:
            telemetry.CONFIDENCE.labels(models.version).observe(confidence)
        with self._swap:
            rollout = self.rollout
            if rollout is None or models is not rollout.canary:
                return
            verdict, reason = rollout.verdict()
            if verdict == "pending":
                return
            self.rollout = None
            self._models = rollout.canary if verdict == "passed" else rollout.stable
            telemetry.event(f"canary {verdict}", version=models.version, reason=reason)
            # Closing lets running requests finish: a closed batcher passes their calls straight on.
            (rollout.stable if verdict == "passed" else rollout.canary).batcher.close()
            if verdict == "passed":
                return
            self._rejected.add(rollout.canary.fingerprint)
            self.problem = f"The models {rollout.canary.version} were rolled back: {reason}."
            telemetry.RELOADS.labels("taken back").inc()
        # The registry's command line takes seconds; the request must not wait for it.
        arguments = (rollout.stable.folder, rollout.canary.folder, reason)
        threading.Thread(target=self._roll_back, args=arguments, name="roll back", daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            folder = self._find().resolve()  # the link may change again while its target is read
            now = fingerprint(folder)
            # A bundle that disappeared is ignored once models are loaded: it may be about to be replaced.
            if now != self._seen and (now[1] is not None or not self.ready):
                self._seen = now
                if now not in self._rejected:
                    self._load_bundle(folder, now)
            if self.ready and not self.config.reload_seconds:
                return
            self._stop.wait(self.config.reload_seconds or _RETRY_SECONDS)

    def _load_bundle(self, folder: Path, bundle_print: Fingerprint) -> None:
        """Loads the bundle and starts its canary rollout; the first one and a rollback's need none."""
        with self._swap:
            if self._models and self._models.fingerprint == bundle_print:  # back to the stable models
                self._serve(self._models)
                return
        start = time.perf_counter()
        try:
            extractor = self._load(folder)
            warm_up(extractor)
        except MissingInputError as e:
            self.problem = str(e)
            telemetry.event("models missing", problem=self.problem)
        except Exception as e:  # a broken new bundle must not stop the service
            self.problem = str(e) if isinstance(e, DoseError) else f"{folder} could not be loaded."
            telemetry.RELOADS.labels("failed").inc()
            telemetry.event("models failed", level=logging.ERROR, error=e, folder=str(folder))
        else:
            models = LoadedModels(extractor, self.config, bundle_print)
            with self._swap:
                # The first models have nothing to be compared with, and a rollback's have served before.
                if self._models and self.config.canary.requests and not registry_client.is_rollback(folder):
                    self.rollout = CanaryRollout(self.config.canary, self._models, models)
                    self.problem = None
                else:
                    self._serve(models)
            self._loaded.set()
            telemetry.RELOADS.labels("loaded").inc()
            seconds = round(time.perf_counter() - start, 2)
            telemetry.event("models loaded", folder=str(folder), version=models.version, seconds=seconds)

    def _serve(self, models: LoadedModels) -> None:
        """Serves `models` alone; requests that began on other models finish on those."""
        before = {self._models} | ({self.rollout.stable, self.rollout.canary} if self.rollout else set())
        self._models, self.rollout, self.problem = models, None, None
        for old in before - {models, None}:
            if old:
                old.batcher.close()


def warm_up(extractor: Any) -> None:
    """Extracts from one second of clicks, so that the first request does not pay for lazy initialisation."""
    clicks = np.zeros((2, 44100), np.float32)
    clicks[:, ::11025] = 0.5
    extractor.extract_blocks([clicks], drums=DRUMS, candidates=1, seed=0)
