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
from serving.limits import APIError
from serving.models import registry_client
from serving.models.batcher import Batcher
from serving.models.canary import Canary, CanaryRecord
from serving.settings import ROOT, ServingConfig

Load = Callable[[Path], Any]


def find_bundle() -> Path:
    """DOSE_BUNDLE if set, else the models in use in the project that the service stands in."""
    from dose.bundle import in_use

    named = os.environ.get("DOSE_BUNDLE")
    return Path(named) if named else in_use(ROOT)


def load_extractor(folder: Path) -> Any:
    """The extractor that the stage `evaluate` scores, on a GPU where there is one."""
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


class LoadedModels:
    """One loaded bundle: the extractor, with its passes joined across requests, and how it has done."""

    def __init__(self, extractor: Any, config: ServingConfig, place: tuple[Any, ...]) -> None:
        self.extractor, self.place = extractor, place  # as `stamp` has it
        self.batcher = Batcher(extractor.sample, config.batch_wait_ms / 1000, config.batch_rows)
        self.record = CanaryRecord(config.canary.requests)
        extractor.sample = self.batcher

    @property
    def version(self) -> str:
        return str(self.extractor.bundle.version)

    def extract(self, *args: Any, **options: Any) -> Any:
        with self.batcher.at_work():
            return self.extractor.extract_blocks(*args, **options)


class ModelManager:
    """Hands out the models in use; loads and reloads in a thread of its own."""

    def __init__(
        self,
        config: ServingConfig,
        find: Callable[[], Path] = find_bundle,
        load: Load | None = None,
        took_back: Callable[[Path, Path, str], None] = registry_client.took_back,
    ) -> None:
        self.config, self._find, self._load, self._took_back = config, find, load or load_extractor, took_back
        self._models: LoadedModels | None = None
        self.trial: Canary[LoadedModels] | None = None
        self._refused: set[tuple[Any, ...]] = set()
        self._place: tuple[Any, ...] | None = None  # what was looked at last
        self._moving = threading.Lock()
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
        """Of the models that answer most requests; empty before there are any."""
        trial = self.trial
        models = trial.new if trial and trial.config.share > 0.5 else self._models
        return models.version if models else ""

    def models(self, id: str = "", wait: float = 60.0) -> LoadedModels:
        """The models that answer the request `id`; waits for the first load, then 503 with the reason."""
        self._loaded.wait(wait)
        if self._models is None:
            raise APIError(503, f"There are no models to work with: {self.problem}", 10)
        trial = self.trial
        return trial.picks(id) if trial else self._models

    def note(self, models: LoadedModels, confidence: float | None) -> None:
        """Books an extraction, None for one that failed by the models' fault, and judges an open trial."""
        models.record.note(confidence)
        telemetry.ANSWERS.labels(models.version, "failed" if confidence is None else "ok").inc()
        if confidence is not None:
            telemetry.CONFIDENCE.labels(models.version).observe(confidence)
        with self._moving:
            trial = self.trial
            if trial is None or models is not trial.new:
                return
            verdict, why = trial.verdict()
            if verdict == "open":
                return
            self.trial = None
            self._models = trial.new if verdict == "passed" else trial.old
            telemetry.event(f"models {verdict}", version=models.version, why=why)
            (trial.old if verdict == "passed" else trial.new).batcher.close()
            if verdict == "passed":
                return
            self._refused.add(trial.new.place)
            self.problem = f"The models {trial.new.version} were taken back: {why}."
            telemetry.RELOADS.labels("taken back").inc()
        folders = (Path(trial.old.place[0]).parent, Path(trial.new.place[0]).parent)
        threading.Thread(target=self._took_back, args=(*folders, why), name="took back", daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            folder = self._find().resolve()  # a link may be turned again while its target is read
            now = stamp(folder)
            if now != self._place and (now[1] is not None or not self.ready):
                self._place = now
                if now not in self._refused:
                    self._move(folder, now)
            if self.ready and not self.config.reload_seconds:
                return
            self._stop.wait(self.config.reload_seconds or 2.0)

    def _move(self, folder: Path, place: tuple[Any, ...]) -> None:
        """Takes up the bundle: on trial, but for the first one and for one that somebody went back to."""
        with self._moving:
            if self._models and self._models.place == place:
                self._settle(self._models)
                return
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
            models = LoadedModels(extractor, self.config, place)
            with self._moving:
                if self._models and self.config.canary.requests and not registry_client.rolled_back(folder):
                    self.trial = Canary(self.config.canary, self._models, models)
                    self.problem = None
                else:
                    self._settle(models)
            self._loaded.set()
            telemetry.RELOADS.labels("loaded").inc()
            seconds = round(time.perf_counter() - start, 2)
            telemetry.event("models loaded", folder=str(folder), version=models.version, seconds=seconds)

    def _settle(self, models: LoadedModels) -> None:
        """Puts `models` into service alone; requests in work finish on those that they began with."""
        before = {self._models} | ({self.trial.old, self.trial.new} if self.trial else set())
        self._models, self.trial, self.problem = models, None, None
        for old in before - {models, None}:
            if old:
                old.batcher.close()


def warm(extractor: Any) -> None:
    """One extraction of a second of clicks, so that the first caller does not pay for lazy set-up."""
    clicks = np.zeros((2, 44100), np.float32)
    clicks[:, ::11025] = 0.5
    extractor.extract_blocks([clicks], drums=DRUMS, candidates=1, seed=0)
