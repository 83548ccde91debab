"""Who may come in, and when: per-client rate, a bounded queue, and answers that say when to come back."""

import asyncio
import contextlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator

from serving.telemetry import QUEUE_DEPTH, REJECTED, STAGE_SECONDS


class APIError(Exception):
    """An answer below 500 that is meant for the caller: a status, one sentence, and perhaps when to retry."""

    def __init__(self, status: int, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))


class TokenBuckets:
    """A token bucket per client; the least recently seen clients are forgotten, so memory is bounded."""

    def __init__(self, per_minute: float, burst: int, clients: int = 10_000) -> None:
        self.rate, self.burst, self.clients = per_minute / 60, float(burst), clients
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (tokens, when)

    def take(self, client: str, now: float | None = None) -> None:
        """Takes one token, or raises a 429 Refusal that says in how many seconds there is one."""
        now = time.monotonic() if now is None else now
        tokens, when = self._seen.pop(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - when) * self.rate)
        allowed = tokens >= 1
        self._seen[client] = (tokens - allowed, now)
        while len(self._seen) > self.clients:
            self._seen.popitem(last=False)
        if not allowed:
            REJECTED.labels("rate").inc()
            wait = (1 - tokens) / self.rate
            raise APIError(
                429,
                f"Too many requests from you: at most {self.rate * 60:g} a minute; "
                f"send the next in {math.ceil(wait)} s.",
                wait,
            )


class ConcurrencyLimiter:
    """A bounded queue in front of a bounded number of workers, for requests that wait for their answer."""

    def __init__(self, name: str, workers: int, queue: int, patience: float) -> None:
        self.name, self.workers, self.queue, self.patience = name, workers, queue, patience
        self._slots = asyncio.Semaphore(workers)
        self._inside = 0  # waiting and working
        self._typical = 2.0  # seconds one request takes, a moving average

    def expected_wait(self) -> float:
        return self._typical * max(1, self._inside - self.workers + 1) / self.workers

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue, held from before the body is read; 429 at once when there is none."""
        if self._inside >= self.workers + self.queue:
            REJECTED.labels("queue").inc()
            raise APIError(
                429, "The service is busy: its queue is full; try again later.", self.expected_wait()
            )
        self._inside += 1
        QUEUE_DEPTH.labels(self.name).set(max(0, self._inside - self.workers))
        try:
            yield
        finally:
            self._inside -= 1
            QUEUE_DEPTH.labels(self.name).set(max(0, self._inside - self.workers))

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until a worker is free; 429 when that takes longer than the configured patience."""
        since = time.perf_counter()
        try:
            await asyncio.wait_for(self._slots.acquire(), self.patience)
        except TimeoutError:
            REJECTED.labels("patience").inc()
            raise APIError(
                429,
                f"The service is busy: no turn came within {self.patience:g} s; try again later.",
                self.expected_wait(),
            ) from None
        start = time.perf_counter()
        STAGE_SECONDS.labels("queue").observe(start - since)
        try:
            yield
        finally:
            self._slots.release()
            self._typical += 0.2 * (time.perf_counter() - start - self._typical)


def client_of(headers: dict[str, str], peer: str, proxy_hops: int) -> str:
    """The address a request counts for: the peer's, or what the outermost trusted proxy saw."""
    seen = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
    return seen[-proxy_hops] if 0 < proxy_hops <= len(seen) else peer


def check_key(headers: dict[str, str], key: str | None) -> None:
    """401 unless the request carries the key, as `X-API-Key` or `Authorization: Bearer`."""
    if key is None:
        return
    offered = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(offered.encode(), key.encode()):
        REJECTED.labels("key").inc()
        raise APIError(401, "This service needs an API key; send it in the header X-API-Key.")
