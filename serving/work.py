"""One extraction, start to end, in a worker thread."""

import threading
from collections.abc import Callable
from typing import BinaryIO

from dose.extract.kit import Kit
from serving import telemetry
from serving.engine import Engine
from serving.settings import Bound
from serving.uploads import NAME, Options, decode


class Stopped(Exception):
    """Raised inside the extractor, through its progress call, when nobody wants the result any more."""


def run(
    engine: Engine,
    file: BinaryIO,
    options: Options,
    bound: Bound,
    *,
    clock: telemetry.StageClock,
    route: str,
    cancelled: threading.Event,
    report: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Kit:
    """The kit of the sound in `file`.

    Raises AudioError or Refusal for a sound that cannot be used, Stopped soon after `cancelled` is set.
    """
    models = engine.models()
    with clock("decode"):
        sound, rate = decode(file, bound)
    telemetry.AUDIO_SECONDS.labels(route).inc(sound.shape[1] / rate)

    def progress(fraction: float, stage: str) -> None:
        if cancelled.is_set():
            raise Stopped
        clock.enter(stage)
        report(fraction, stage)

    progress(0.02, "listen")
    try:
        return models.extract(
            sound,
            rate,
            drums=options.drum_list(),
            candidates=options.candidates,
            seed=options.seed,
            progress=progress,
            name=NAME,
        )
    finally:
        clock.enter(None)
