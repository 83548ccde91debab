"""Adaptive batching: rows of several requests go through a drum's model in one pass.

Decoding reads every weight once per step, whether for one row or for twenty; so requests that are in work at
the same time share their passes. Each row keeps its own seed and random numbers. The joining is adaptive: the
first row waits for others only while some request in work has not yet asked for its rows, and never longer
than `wait` seconds; a lone request never waits.
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from serving.telemetry import BATCH_ROWS

Sample = Callable[[str, Any, Any], np.ndarray]  # as Extractor.sample: drum, prompts [B, K, P], rules


@dataclasses.dataclass(kw_only=True, eq=False)  # told apart by identity: tensors have no single truth
class Call:
    drum: str
    prompts: Any  # [B, K, P]
    rules: Sequence[Any]
    answer: Future[np.ndarray]

    @property
    def kind(self) -> tuple[Any, ...]:
        """Calls of one kind can be joined: the same model, prompts of the same shape."""
        return (self.drum, *self.prompts.shape[1:])


class Batcher:
    """Stands in for `sample`; safe to call from any number of threads."""

    def __init__(self, sample: Sample, wait: float, rows: int) -> None:
        self.sample, self.wait, self.rows = sample, wait, rows
        self._calls: list[Call] = []
        self._working = 0  # requests between `at_work`'s ends
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="batching", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Brackets a request that may ask for rows; that is how others know whom to wait for."""
        with self._changed:
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def __call__(self, drum: str, prompts: Any, rules: Sequence[Any]) -> np.ndarray:
        """As `sample`: one-shots float32 [B, N] for prompts [B, K, P] with a rule each."""
        call = Call(drum=drum, prompts=prompts, rules=list(rules), answer=Future())
        with self._changed:
            if self._closed:  # replaced by newer models while this request ran
                return self.sample(drum, prompts, rules)
            self._calls.append(call)
            self._changed.notify_all()
        return call.answer.result()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._calls and not self._closed:
                    self._changed.wait()
                if not self._calls:
                    return
                deadline = time.monotonic() + self.wait
                while len(self._calls) < self._working and self._queued() < self.rows:
                    if (left := deadline - time.monotonic()) <= 0:
                        break
                    self._changed.wait(left)
                batch = self._take()
            self._run(batch)

    def _queued(self) -> int:
        return sum(len(call.rules) for call in self._calls)

    def _take(self) -> list[Call]:
        """The oldest call and those of its kind that fit beside it."""
        first = self._calls.pop(0)
        batch, total = [first], len(first.rules)
        for call in list(self._calls):
            if call.kind == first.kind and total + len(call.rules) <= self.rows:
                self._calls.remove(call)
                batch.append(call)
                total += len(call.rules)
        return batch

    def _run(self, batch: list[Call]) -> None:
        import torch

        try:
            prompts = torch.cat([call.prompts for call in batch])
            rules = [rule for call in batch for rule in call.rules]
            BATCH_ROWS.observe(len(rules))
            shots = self.sample(batch[0].drum, prompts, rules)
        except BaseException as e:
            for call in batch:
                call.answer.set_exception(e)
            return
        start = 0
        for call in batch:
            call.answer.set_result(shots[start : start + len(call.rules)])
            start += len(call.rules)
