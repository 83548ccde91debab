"""Shadow mode: new models score what the old ones have answered, and nobody waits for them."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from serving import telemetry
from serving.models.canary import mean_confidence
from serving.models.manager import LoadedModels, ModelManager
from serving.settings import Bound
from serving.uploads import NAME, InferenceParams, stream

WAITING = 2  # sounds that may wait; more are passed over
LARGEST = 16 * 2**20  # bytes of an upload that is kept for it


class ShadowTraffic:
    """One thread, so that shadows take at most one core from those who wait for an answer."""

    def __init__(self, engine: ModelManager, bound: Bound) -> None:
        self.engine, self.bound = engine, bound
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._room = threading.Semaphore(WAITING)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def offer(self, id: str, file: BinaryIO, options: InferenceParams) -> bool:
        """Copies the upload of the request `id` and has it scored, where its turn in a trial has come."""
        trial = self.engine.trial
        if trial is None or not trial.shadows(id) or file.seek(0, 2) > LARGEST:
            return False
        if not self._room.acquire(blocking=False):
            return False
        file.seek(0)
        self._pool.submit(self._score, trial.new, file.read(), options)
        return True

    def _score(self, models: LoadedModels, body: bytes, options: InferenceParams) -> None:
        try:
            kit = models.extract(
                stream(io.BytesIO(body), self.bound),
                drums=options.drum_list(),
                candidates=options.candidates,
                seed=options.seed,
                name=NAME,
            )
        except Exception as e:  # the old models could do it
            telemetry.event("shadow failed", level=40, error=e, version=models.version)
            self.engine.note(models, None)
        else:
            self.engine.note(models, mean_confidence(kit))
        finally:
            self._room.release()
