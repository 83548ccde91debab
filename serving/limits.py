"""Admission control: rate limit per client, bounded queue, API key; and the error that the caller gets."""

import asyncio
import contextlib
import hmac
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator

from serving.telemetry import QUEUE_DEPTH, REJECTED, STAGE_SECONDS

CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that disconnected; only the log shows it


class APIError(Exception):
    """An error response for the caller: a status, one sentence, and for 429 and 503 when to retry."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        # Retry-After counts whole seconds; 0 would invite an immediate retry.
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))


class TokenBuckets:
    """One token bucket per client; the least recently seen clients are dropped, which bounds memory."""

    def __init__(self, per_minute: float, burst: int, max_clients: int = 10_000) -> None:
        self.rate, self.burst, self.max_clients = per_minute / 60, float(burst), max_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (tokens, time)

    def consume(self, client: str, now: float | None = None) -> None:
        """Takes one token, or raises APIError (429) with the seconds until there is one."""
        now = time.monotonic() if now is None else now
        tokens, updated = self._buckets.pop(client, (self.burst, now))
        # Refill: `rate` tokens a second since the last request, at most `burst`.
        tokens = min(self.burst, tokens + (now - updated) * self.rate)
        allowed = tokens >= 1
        # A rejected request costs nothing; inserting again moves the client to the end of the LRU order.
        self._buckets[client] = (tokens - allowed, now)
        while len(self._buckets) > self.max_clients:
            self._buckets.popitem(last=False)
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
    """A bounded queue in front of a bounded number of slots, for requests that are answered synchronously.

    `async with limiter.queue():` admits a request before its body is read; `async with limiter.slot():`
    inside it waits for a free slot before the extraction starts.
    """

    def __init__(self, name: str, slots: int, queue_size: int, timeout: float) -> None:
        self.name, self.slots, self.queue_size, self.timeout = name, slots, queue_size, timeout
        self._semaphore = asyncio.Semaphore(slots)
        self._admitted = 0  # requests that wait or hold a slot
        # Moving average of the seconds a request holds a slot; 2 s stands in before the first one, unstudied.
        self._mean_seconds = 2.0

    def expected_wait(self) -> float:
        """Seconds until a slot is free, by the number of requests in front and their mean duration."""
        return self._mean_seconds * max(1, self._admitted - self.slots + 1) / self.slots

    @contextlib.asynccontextmanager
    async def queue(self) -> AsyncIterator[None]:
        """Admission to the queue, held from before the body is read; 429 at once when it is full."""
        if self._admitted >= self.slots + self.queue_size:
            REJECTED.labels("queue").inc()
            raise APIError(
                429, "The service is busy: its queue is full; try again later.", self.expected_wait()
            )
        self._admitted += 1
        self._update_gauge()
        try:
            yield
        finally:
            self._admitted -= 1
            self._update_gauge()

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a free slot; 429 when that takes longer than `timeout` seconds."""
        queued = time.perf_counter()
        try:
            await asyncio.wait_for(self._semaphore.acquire(), self.timeout)
        except TimeoutError:
            REJECTED.labels("patience").inc()
            raise APIError(
                429,
                f"The service is busy: the request waited {self.timeout:g} s in the queue; try again later.",
                self.expected_wait(),
            ) from None
        start = time.perf_counter()
        STAGE_SECONDS.labels("queue").observe(start - queued)
        try:
            yield
        finally:
            self._semaphore.release()
            # Exponential moving average over about five requests (0.2 is a default without a study).
            self._mean_seconds += 0.2 * (time.perf_counter() - start - self._mean_seconds)

    def _update_gauge(self) -> None:
        QUEUE_DEPTH.labels(self.name).set(max(0, self._admitted - self.slots))


def client_address(headers: dict[str, str], peer: str, proxy_hops: int) -> str:
    """The address that a request counts for: the peer's, or the one that the outermost trusted proxy saw.

    Each proxy appends the address of its own peer to X-Forwarded-For, so the entry `proxy_hops` from the
    right is the leftmost one that was not written by the client.
    """
    chain = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
    return chain[-proxy_hops] if 0 < proxy_hops <= len(chain) else peer


def check_key(headers: dict[str, str], key: str | None) -> None:
    """APIError (401) unless the request carries the key, as `X-API-Key` or `Authorization: Bearer`."""
    if key is None:
        return
    offered = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
    # Constant-time comparison: the response time does not depend on how many characters are right.
    if not hmac.compare_digest(offered.encode(), key.encode()):
        REJECTED.labels("key").inc()
        raise APIError(401, "This service needs an API key; send it in the header X-API-Key.")
