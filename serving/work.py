"""One extraction, start to end, in a worker thread."""

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from dose import audio
from dose.extract.kit import Kit
from serving import telemetry
from serving.engine import Engine
from serving.settings import Bound
from serving.uploads import NAME, Options, stream

LISTENING = 0.2  # share of the progress


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

    try:
        return models.extract(
            blocks(),
            drums=options.drum_list(),
            candidates=options.candidates,
            seed=options.seed,
            progress=progress,
            name=NAME,
        )
    finally:
        clock.enter(None)
