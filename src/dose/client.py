"""A small client for the DOSE service.

from dose.client import Client

with Client("http://localhost:3000") as dose:
    dose.extract("loop.wav").save("kit")
    dose.extract_song("song.mp3", candidates=4, progress=print).save("kit", format="sfz")
"""

import base64
import contextlib
import dataclasses
import io
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from dose.errors import AudioError, DoseError

Source = str | os.PathLike[str] | bytes
POLL_SECONDS = 0.3  # between two looks at a job; a default without a study


class ServiceError(DoseError):
    """The service answered with an error; the message is that of its response."""

    def __init__(self, message: str, status: int, request_id: str = "") -> None:
        super().__init__(message)
        self.status, self.request_id = status, request_id


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemoteOneShot:
    """One candidate; `wav` is a whole WAV file."""

    drum: str
    file: str
    confidence: float
    detected: bool  # whether the drum is in the mix
    time: float  # seconds: onset in the source
    seed: int
    source_energy_ratio: float  # 0..1: share of its energy taken from the source; the rest is generated
    wav: bytes = dataclasses.field(repr=False)

    @property
    def present(self) -> bool:
        """Deprecated: the former name of `detected`."""
        return self.detected

    @property
    def borrowed(self) -> float:  # old name
        """Deprecated: the former name of `source_energy_ratio`."""
        return self.source_energy_ratio


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RemoteKit:
    """The result of an extraction: drum -> candidates, best first."""

    version: str  # of the models
    hits: dict[str, tuple[RemoteOneShot, ...]]
    fetch: Callable[[str], bytes]  # kit formats, separated by commas -> the kit as a ZIP
    source: Path | None = None  # the file that was sent, which no saved kit may replace

    def __repr__(self) -> str:
        """Short, since the sounds are megabytes."""
        return f"RemoteKit({self.version}: {', '.join(f'{d} x {len(h)}' for d, h in self.hits.items())})"

    def save(self, folder: str | os.PathLike[str], format: str = "wav") -> list[Path]:
        """Writes the kit into `folder`, replacing a kit that is there, as `dose extract` does.

        `format`: one of `Client.formats`, or several separated by commas. Raises Occupied where other files
        would be overwritten.
        """
        from dose.kits.folder import put

        with zipfile.ZipFile(io.BytesIO(self.fetch(format))) as archive:
            # Only the base name: a file from the network must not choose its folder.
            contents = {Path(name).name: archive.read(name) for name in archive.namelist()}
        return put(Path(folder), contents, [self.source] if self.source else [])


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

        return _kit(send("json").json(), lambda format: send("zip", format).content, source)

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

        return _kit(fetch("json").json(), lambda format: fetch("zip", format).content, source)

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


def _kit(response: dict[str, Any], fetch: Callable[[str], bytes], source: Source) -> RemoteKit:
    # The response may have more fields than this client knows.
    names = [field.name for field in dataclasses.fields(RemoteOneShot) if field.name not in ("drum", "wav")]
    hits = {
        drum: tuple(
            RemoteOneShot(
                drum=drum, wav=base64.b64decode(row["audio"]), **{name: row[name] for name in names}
            )
            for row in rows
        )
        for drum, rows in response["drums"].items()
    }
    path = None if isinstance(source, bytes) else Path(source)
    return RemoteKit(version=response["version"], hits=hits, fetch=fetch, source=path)


def _error(response: httpx.Response) -> ServiceError:
    status = response.status_code
    try:
        body = response.json()
        return ServiceError(body["error"], status, body.get("request_id", ""))
    except (ValueError, KeyError, TypeError):  # not from the service, but from a proxy in front of it
        return ServiceError(f"The service answered {status} and no more.", status)
