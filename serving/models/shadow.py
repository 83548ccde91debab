"""Shadow traffic: canary models run requests that the stable ones have answered; no caller waits for them."""

import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from serving import telemetry
from serving.decoding import UPLOAD_NAME, decode_blocks
from serving.models.canary import mean_confidence
from serving.models.manager import LoadedModels, ModelManager
from serving.schemas import InferenceParams
from serving.settings import AudioLimit

# Both bound memory; defaults without a study.
MAX_PENDING = 2  # uploads that wait or run; further ones are not shadowed
MAX_BYTES = 16 * 2**20  # of an upload; larger ones are not shadowed


class ShadowTraffic:
    """Uses one thread, so that shadowed requests take at most one core from requests with a caller."""

    def __init__(self, manager: ModelManager, limit: AudioLimit) -> None:
        self.manager, self.limit = manager, limit
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._pending = threading.Semaphore(MAX_PENDING)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def offer(self, request_id: str, file: BinaryIO, params: InferenceParams) -> bool:
        """Copies the upload and queues it for the canary models, if a rollout shadows this request."""
        rollout = self.manager.rollout
        if rollout is None or not rollout.is_shadowed(request_id) or file.seek(0, 2) > MAX_BYTES:
            return False
        # Skipped rather than queued: shadow traffic is a sample, and a backlog would hold memory.
        if not self._pending.acquire(blocking=False):
            return False
        # A copy: the request closes its file when it has been answered.
        file.seek(0)
        self._pool.submit(self._run, rollout.canary, file.read(), params)
        return True

    def _run(self, models: LoadedModels, body: bytes, params: InferenceParams) -> None:
        try:
            kit = models.extract(
                decode_blocks(io.BytesIO(body), self.limit),
                drums=params.drum_list(),
                candidates=params.candidates,
                seed=params.seed,
                name=UPLOAD_NAME,
            )
        except Exception as e:  # whatever it is, the stable models did not raise it
            telemetry.event("shadow failed", level=logging.ERROR, error=e, version=models.version)
            self.manager.record(models, None)
        else:
            self.manager.record(models, mean_confidence(kit))
        finally:
            self._pending.release()
