"""Canary rollout: new models answer a share of the requests, or shadow them, until they are promoted.

The stable models stay loaded. They answer requests that the canary models fail at, and serve alone again when
the canary models fail more often than they do or report a lower confidence.
"""

import hashlib
import threading
from collections import deque
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from dose.extract.result import Kit
from serving.settings import CanaryConfig

Verdict = Literal["pending", "passed", "failed"]
# Defaults without a study: failures from which on there is a rate, and kits of the stable models from which
# on their mean confidence is a baseline.
MIN_FAILURES = 3
MIN_BASELINE = 10


def mean_confidence(kit: Kit) -> float:
    """Mean over the requested drums of the best candidate's confidence; 0 for a drum without candidates."""
    best = [hits[0].confidence if hits else 0.0 for hits in kit.hits.values()]
    return float(np.mean(best)) if best else 0.0


class OutcomeWindow:
    """Outcomes of a bundle's last `size` extractions; safe to use from any thread."""

    def __init__(self, size: int) -> None:
        self._outcomes: deque[float | None] = deque(maxlen=max(size, MIN_BASELINE))
        self._lock = threading.Lock()
        self.count = 0  # all extractions, also those that left the window

    def add(self, confidence: float | None) -> None:
        """The mean confidence of a kit, or None for a failure."""
        with self._lock:
            self.count += 1
            self._outcomes.append(confidence)

    @property
    def outcomes(self) -> list[float | None]:
        with self._lock:
            return list(self._outcomes)

    @property
    def failures(self) -> int:
        return sum(outcome is None for outcome in self.outcomes)

    @property
    def failure_rate(self) -> float:
        return self.failures / max(1, len(self.outcomes))

    @property
    def confidences(self) -> list[float]:
        return [outcome for outcome in self.outcomes if outcome is not None]


class Monitored(Protocol):
    window: OutcomeWindow

    @property
    def version(self) -> str: ...


M = TypeVar("M", bound=Monitored)


class CanaryRollout(Generic[M]):
    """The `stable` and the `canary` models, and what decides between them."""

    def __init__(self, config: CanaryConfig, stable: M, canary: M) -> None:
        self.config, self.stable, self.canary = config, stable, canary

    def route(self, request_id: str) -> M:
        """The models that answer the request; the same id always gets the same models."""
        return self.canary if hash_fraction(request_id) < self.config.share else self.stable

    def is_shadowed(self, request_id: str) -> bool:
        """Whether the canary models also run this request, which the stable ones answer."""
        # Another hash than `route` uses, so that both choices are independent.
        sampled = hash_fraction(f"shadow {request_id}") < self.config.shadow
        return self.route(request_id) is self.stable and sampled

    def verdict(self) -> tuple[Verdict, str]:
        """Whether the canary models are promoted or rolled back, and why."""
        canary, stable, limits = self.canary.window, self.stable.window, self.config
        # 1. Failures: rolled back as soon as there are enough, before the rollout's end.
        excess = canary.failure_rate - stable.failure_rate
        if canary.failures >= MIN_FAILURES and excess > limits.errors:
            rate = f"{stable.failure_rate:.0%} with the models before"
            return "failed", f"{canary.failures} of {canary.count} extractions failed ({rate})"
        if canary.count < limits.requests:
            return "pending", f"{canary.count} of {limits.requests} requests seen"
        # 2. Confidence: compared once, when the rollout has had all its requests.
        if len(stable.confidences) >= MIN_BASELINE and canary.confidences:
            before, now = float(np.mean(stable.confidences)), float(np.mean(canary.confidences))
            if now < before * (1 - limits.confidence_fall):
                return "failed", f"the mean confidence fell from {before:.2f} to {now:.2f}"
        return "passed", f"{canary.count} requests without cause for alarm"


def hash_fraction(text: str) -> float:
    """A number in [0, 1), uniform over texts and always the same for one: 32 bits of its BLAKE2b hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") / 2**32
