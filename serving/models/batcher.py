"""Adaptive batching: sequences of several requests go through a drum's model in one batch.

Decoding reads every weight once per step, whether for one sequence or for twenty, so concurrent requests
share their batches. Each sequence keeps its own seed and random numbers. The first call of a batch waits for
others only while some active request has not called yet, and at most `wait` seconds; a lone request never
waits.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from serving.telemetry import BATCH_SIZE

# As Extractor.sample: drum, prompts [B, K, P], one sampling rule per sequence -> one-shots float32 [B, N].
Sample = Callable[[str, Any, Any], np.ndarray]


@dataclasses.dataclass(kw_only=True, eq=False)  # compared by identity: tensors have no boolean value
class Call:
    drum: str
    prompts: Any  # [B, K, P]
    sampling: Sequence[Any]  # [B]
    result: Future[np.ndarray]

    @property
    def batch_key(self) -> tuple[Any, ...]:
        """Calls with equal keys can share a batch: the same model, prompts of the same shape [K, P]."""
        return (self.drum, *self.prompts.shape[1:])


class Batcher:
    """Replaces `sample`; safe to call from any number of threads."""

    def __init__(self, sample: Sample, wait: float, max_size: int) -> None:
        self.sample, self.wait, self.max_size = sample, wait, max_size
        self._calls: list[Call] = []
        self._active = 0  # requests inside `active_request`
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="batching", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextlib.contextmanager
    def active_request(self) -> Iterator[None]:
        """Encloses a request that may call the batcher, so that other requests know whom to wait for."""
        with self._changed:
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def __call__(self, drum: str, prompts: Any, sampling: Sequence[Any]) -> np.ndarray:
        """As `sample`: one-shots float32 [B, N] for prompts [B, K, P] with one sampling rule each."""
        call = Call(drum=drum, prompts=prompts, sampling=list(sampling), result=Future())
        with self._changed:
            if self._closed:  # newer models replaced these while the request ran
                return self.sample(drum, prompts, sampling)
            self._calls.append(call)
            self._changed.notify_all()
        return call.result.result()

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._calls and not self._closed:
                    self._changed.wait()
                if not self._calls:
                    return
                # Wait while an active request has not called yet, the batch has room, and time is left.
                deadline = time.monotonic() + self.wait
                while len(self._calls) < self._active and self._queued_sequences() < self.max_size:
                    if (left := deadline - time.monotonic()) <= 0:
                        break
                    self._changed.wait(left)
                batch = self._next_batch()
            self._run(batch)

    def _queued_sequences(self) -> int:
        return sum(len(call.sampling) for call in self._calls)

    def _next_batch(self) -> list[Call]:
        """Removes the oldest call from the queue, with those of its key that fit into the batch."""
        first = self._calls.pop(0)
        batch, size = [first], len(first.sampling)
        for call in list(self._calls):
            if call.batch_key == first.batch_key and size + len(call.sampling) <= self.max_size:
                self._calls.remove(call)
                batch.append(call)
                size += len(call.sampling)
        return batch

    def _run(self, batch: list[Call]) -> None:
        import torch

        try:
            prompts = torch.cat([call.prompts for call in batch])  # [sum of B, K, P]
            sampling = [rule for call in batch for rule in call.sampling]
            BATCH_SIZE.observe(len(sampling))
            one_shots = self.sample(batch[0].drum, prompts, sampling)  # [sum of B, N]
        # Every waiting request must get a result or the exception, or it would wait for ever.
        except BaseException as e:
            for call in batch:
                call.result.set_exception(e)
            return
        start = 0
        for call in batch:  # each caller gets its own part [B, N]
            call.result.set_result(one_shots[start : start + len(call.sampling)])
            start += len(call.sampling)
