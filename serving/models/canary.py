"""New models on trial: they answer a share of the requests, or only score them, until they can be trusted.

The old ones stay loaded. They answer what the new ones fail at, and take over again when the new ones fail
more often than they did or are less sure of what they find.
"""

import hashlib
import threading
from collections import deque
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from dose.extract.result import Kit
from serving.settings import CanaryConfig

Verdict = Literal["open", "passed", "failed"]
FEW = 3  # failures are not yet a rate
ENOUGH = 10  # answers of the old models with which a mean confidence can be compared


def mean_confidence(kit: Kit) -> float:
    """Over the drums asked for; one that was not heard counts as 0."""
    best = [hits[0].confidence if hits else 0.0 for hits in kit.hits.values()]
    return float(np.mean(best)) if best else 0.0


class CanaryRecord:
    """How a bundle's last extractions went; safe to use from any thread."""

    def __init__(self, size: int) -> None:
        self._last: deque[float | None] = deque(maxlen=max(size, ENOUGH))
        self._lock = threading.Lock()
        self.count = 0

    def note(self, confidence: float | None) -> None:
        """The mean confidence of a kit, or None for a failure."""
        with self._lock:
            self.count += 1
            self._last.append(confidence)

    @property
    def last(self) -> list[float | None]:
        with self._lock:
            return list(self._last)

    @property
    def failures(self) -> int:
        return sum(one is None for one in self.last)

    @property
    def failure_rate(self) -> float:
        return self.failures / max(1, len(self.last))

    @property
    def sure(self) -> list[float]:
        return [one for one in self.last if one is not None]


class Recorded(Protocol):
    record: CanaryRecord

    @property
    def version(self) -> str: ...


M = TypeVar("M", bound=Recorded)


class Canary(Generic[M]):
    """`old` against `new`, each with its record."""

    def __init__(self, config: CanaryConfig, old: M, new: M) -> None:
        self.config, self.old, self.new = config, old, new

    def picks(self, id: str) -> M:
        """Who answers the request: the same id always gets the same models."""
        return self.new if part(id) < self.config.share else self.old

    def shadows(self, id: str) -> bool:
        """Whether the new models score this request beside the old ones, which answer it."""
        return self.picks(id) is self.old and part(f"shadow {id}") < self.config.shadow

    def verdict(self) -> tuple[Verdict, str]:
        """What is to become of the new models, and why."""
        new, old, limits = self.new.record, self.old.record, self.config
        worse = new.failure_rate - old.failure_rate
        if new.failures >= FEW and worse > limits.errors:
            rate = f"{old.failure_rate:.0%} with the models before"
            return "failed", f"{new.failures} of {new.count} extractions failed ({rate})"
        if new.count < limits.requests:
            return "open", f"{new.count} of {limits.requests} requests seen"
        if len(old.sure) >= ENOUGH and new.sure:
            before, now = float(np.mean(old.sure)), float(np.mean(new.sure))
            if now < before * (1 - limits.confidence_fall):
                return "failed", f"the mean confidence fell from {before:.2f} to {now:.2f}"
        return "passed", f"{new.count} requests without cause for alarm"


def part(id: str) -> float:
    """0 to 1, evenly spread over ids and always the same for one."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=4).digest(), "big") / 2**32
