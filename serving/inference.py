"""One extraction, start to end, in a worker thread."""

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from dose import audio
from dose.errors import DoseError
from dose.extract.result import Kit
from serving import telemetry
from serving.limits import APIError
from serving.models.canary import mean_confidence
from serving.models.manager import LoadedModels, ModelManager
from serving.settings import Bound
from serving.uploads import NAME, InferenceParams, stream

LISTENING = 0.2  # share of the progress


class Stopped(Exception):
    """Raised inside the extractor, through its progress call, when nobody wants the result any more."""


def run(
    engine: ModelManager,
    file: BinaryIO,
    options: InferenceParams,
    bound: Bound,
    *,
    clock: telemetry.StageClock,
    route: str,
    cancelled: threading.Event,
    report: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Kit:
    """The kit of the sound in `file`, by the models that answer this request's id.

    What models on trial fail at, the old ones do. Raises AudioError or Refusal for a sound that cannot be
    used, Stopped soon after `cancelled` is set.
    """

    def progress(fraction: float, stage: str) -> None:
        if cancelled.is_set():
            raise Stopped
        clock.enter(stage)
        report(fraction, stage)

    def blocks() -> Iterator[np.ndarray]:
        """What the extractor pulls: decoding is booked apart from listening, and can be stopped."""
        file.seek(0)
        length, heard = audio.probe(file, NAME).seconds, 0.0
        source = stream(file, bound)
        clock.enter("decode")
        while (block := next(source, None)) is not None:
            heard += block.shape[1] / audio.RATE
            telemetry.AUDIO_SECONDS.labels(route).inc(block.shape[1] / audio.RATE)
            progress(LISTENING * min(1.0, heard / max(length, heard)), "listen")
            yield block
            clock.enter("decode")

    def answer(models: LoadedModels) -> Kit:
        try:
            kit = models.extract(
                blocks(),
                drums=options.drum_list(),
                candidates=options.candidates,
                seed=options.seed,
                progress=progress,
                name=NAME,
            )
        except (Stopped, APIError, DoseError):
            raise  # not the models' fault
        except Exception:
            engine.note(models, None)
            raise
        finally:
            clock.enter(None)
        engine.note(models, mean_confidence(kit))
        return kit

    models, trial = engine.models(telemetry.request_id.get()), engine.trial
    try:
        return answer(models)
    except (Stopped, APIError, DoseError):
        raise
    except Exception as e:
        if trial is None or models is not trial.new:
            raise
        telemetry.event("models on trial failed", level=40, error=e, version=models.version)
    return answer(trial.old)
