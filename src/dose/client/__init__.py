"""A small client for the DOSE service.

from dose.client import Client

with Client("http://localhost:3000") as dose:
    dose.extract("loop.wav").save("kit")
    dose.extract_song("song.mp3", candidates=4, progress=print).save("kit", format="sfz")
"""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from dose.client.kit import RemoteKit, RemoteOneShot, parse_kit
from dose.errors import AudioError, DoseError

__all__ = ["Client", "RemoteKit", "RemoteOneShot", "ServiceError", "Source"]

Source = str | os.PathLike[str] | bytes
POLL_SECONDS = 0.3  # between two looks at a job; a default without a study


class ServiceError(DoseError):
    """The service answered with an error; the message is that of its response."""

    def __init__(self, message: str, status: int, request_id: str = "") -> None:
        super().__init__(message)
        self.status, self.request_id = status, request_id


class Client:
    """A client of one service; it retries after the time in Retry-After when the service is busy (429)."""

    def __init__(
        self,
        url: str = "http://localhost:3000",
        *,
        key: str | None = None,
        timeout: float = 300.0,
        patience: float = 120.0,
    ) -> None:
        """`key` defaults to the environment's DOSE_API_KEY; `patience` bounds the waiting after a 429."""
        key = key or os.environ.get("DOSE_API_KEY")
        headers = {"X-API-Key": key} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self.patience = patience

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def state(self) -> dict[str, Any]:
        """Whether the service is ready, its models, formats and limits."""
        state: dict[str, Any] = self._call("GET", "/state").json()
        return state

    @property
    def formats(self) -> list[str]:
        return list(self.state()["formats"])

    def extract(
        self,
        source: Source,
        *,
        drums: Sequence[str] | None = None,
        candidates: int = 1,
        seed: int = 0,
        **render: Any,
    ) -> RemoteKit:
        """A kit out of a short sound (a path, or the bytes of a file), in one request.

        `render` is name, tail, peak, lufs, rate, bits, channels, layers or undetected, as the service
        documents them. Raises ServiceError for anything but a kit, AudioError for a file that is not there.
        """
        body = _read(source)
        query = _query(drums, candidates, seed) | {k: str(v) for k, v in render.items()}

        def send(response: str, format: str = "wav") -> httpx.Response:
            params = {**query, "response": response, "format": format}
            return self._call("POST", "/extract", params=params, files={"audio": ("audio", body)})

        return parse_kit(send("json").json(), lambda format: send("zip", format).content, source)

    def extract_song(
        self,
        source: Source,
        *,
        drums: Sequence[str] | None = None,
        candidates: int = 1,
        seed: int = 0,
        progress: Callable[[float, str], None] | None = None,
        **render: Any,
    ) -> RemoteKit:
        """The same for a song of any length that the service accepts: submits a job and waits for it.

        The job is cancelled when the wait is interrupted (Ctrl-C, or an exception in `progress`).
        """
        job = self.submit(source, drums=drums, candidates=candidates, seed=seed)
        try:
            self.wait(job, progress)
        # BaseException: Ctrl-C must cancel the job as well.
        except BaseException:
            with contextlib.suppress(DoseError):
                self._call("POST", f"/jobs/{job}/cancel")
            raise
        query = {k: str(v) for k, v in render.items()}

        def fetch(response: str, format: str = "wav") -> httpx.Response:
            params = {**query, "response": response, "format": format}
            return self._call("GET", f"/jobs/{job}/kit", params=params)

        return parse_kit(fetch("json").json(), lambda format: fetch("zip", format).content, source)

    def submit(
        self, source: Source, *, drums: Sequence[str] | None = None, candidates: int = 1, seed: int = 0
    ) -> str:
        """Uploads a song; the id of its job."""
        query = _query(drums, candidates, seed)
        response = self._call("POST", "/jobs", params=query, files={"audio": ("audio", _read(source))})
        return str(response.json()["id"])

    def wait(self, job: str, progress: Callable[[float, str], None] | None = None) -> None:
        """Returns when the job is done; ServiceError with the reason when it failed or was cancelled."""
        while True:
            status = self._call("GET", f"/jobs/{job}").json()
            if progress:
                progress(status["progress"], status["stage"])
            if status["state"] == "done":
                return
            if status["state"] in ("failed", "cancelled"):
                raise ServiceError(status["error"] or "The job was cancelled.", 409)
            time.sleep(POLL_SECONDS)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                response = self._http.request(method, path, **options)
            except httpx.HTTPError as e:
                url = self._http.base_url
                raise ServiceError(f"{url} does not answer ({type(e).__name__}); is it up?", 0) from e
            if response.is_success:
                return response
            # Only a 429 is worth another try, and only while the pause fits into the patience.
            pause = float(response.headers.get("retry-after", "1"))
            if response.status_code != 429 or time.monotonic() + pause > deadline:
                raise _error(response)
            time.sleep(pause)


def _read(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source
    path = Path(source)
    if not path.is_file():
        raise AudioError(f"{path} does not exist or is not a file.")
    return path.read_bytes()


def _query(drums: Sequence[str] | None, candidates: int, seed: int) -> dict[str, str]:
    query = {"candidates": str(candidates), "seed": str(seed)}
    return query if drums is None else {**query, "drums": ",".join(drums)}


def _error(response: httpx.Response) -> ServiceError:
    status = response.status_code
    try:
        body = response.json()
        return ServiceError(body["error"], status, body.get("request_id", ""))
    except (ValueError, KeyError, TypeError):  # not from the service, but from a proxy in front of it
        return ServiceError(f"The service answered {status} and no more.", status)
