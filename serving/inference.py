"""One extraction from start to end, in a worker thread."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from dose import audio
from dose.drums import DRUMS
from dose.errors import DoseError
from dose.extract.result import Kit
from serving import telemetry
from serving.decoding import UPLOAD_NAME, decode_blocks
from serving.limits import APIError
from serving.models.canary import mean_confidence
from serving.models.manager import LoadedModels, ModelManager
from serving.schemas import InferenceParams
from serving.settings import AudioLimit

# Stage names in the progress of a job and as the label of `dose_stage_seconds`. The extractor reports SCAN
# (onset detection over the whole file) and one stage per drum, and "done" at the end.
DECODE, SCAN, DONE = "decode", "listen", "done"
STAGES = (DECODE, SCAN, *DRUMS, DONE)
SCAN_SHARE = 0.2  # of the progress, as in the extractor; the drums share the rest


class Cancelled(Exception):
    """Raised inside the extractor, through its progress callback, after `cancelled` was set."""


def run(
    manager: ModelManager,
    file: BinaryIO,
    params: InferenceParams,
    limit: AudioLimit,
    *,
    clock: telemetry.StageClock,
    route: str,
    cancelled: threading.Event,
    report: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Kit:
    """The kit extracted from `file`, by the models that the canary rollout assigns to the request's id.

    When canary models fail, the stable ones run the request again. Raises AudioError or APIError for a file
    that cannot be used, and Cancelled soon after `cancelled` is set.
    """

    def progress(fraction: float, stage: str) -> None:
        if cancelled.is_set():
            raise Cancelled
        clock.enter(stage)
        report(fraction, stage)

    def blocks() -> Iterator[np.ndarray]:
        """The audio in blocks [C, N]; decoding and scanning alternate, and their times are kept apart."""
        file.seek(0)
        length, decoded = audio.probe(file, UPLOAD_NAME).seconds, 0.0
        source = decode_blocks(file, limit)
        clock.enter(DECODE)
        while (block := next(source, None)) is not None:
            decoded += block.shape[1] / audio.RATE
            telemetry.AUDIO_SECONDS.labels(route).inc(block.shape[1] / audio.RATE)
            # The header's length may be wrong, so the fraction is bounded by what was decoded.
            progress(SCAN_SHARE * min(1.0, decoded / max(length, decoded)), SCAN)
            yield block
            clock.enter(DECODE)

    def extract(models: LoadedModels) -> Kit:
        try:
            kit = models.extract(
                blocks(),
                drums=params.drum_list(),
                candidates=params.candidates,
                seed=params.seed,
                progress=progress,
                name=UPLOAD_NAME,
            )
        except (Cancelled, APIError, DoseError):
            raise  # caused by the request, not by the models
        except Exception:
            manager.record(models, None)
            raise
        finally:
            clock.enter(None)
        manager.record(models, mean_confidence(kit))
        return kit

    models, rollout = manager.models_for(telemetry.request_id.get()), manager.rollout
    try:
        return extract(models)
    except (Cancelled, APIError, DoseError):
        raise
    except Exception as e:
        if rollout is None or models is not rollout.canary:
            raise
        telemetry.event("canary models failed", level=logging.ERROR, error=e, version=models.version)
    return extract(rollout.stable)
