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


class ServiceError(DoseError):
    """The service said no; the message is its own sentence."""

    def __init__(self, sentence: str, status: int, request_id: str = "") -> None:
        super().__init__(sentence)
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
    def borrowed(self) -> float:
        """Deprecated: the former name of `source_energy_ratio`."""
        return self.source_energy_ratio


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RemoteKit:
    """What an extraction gave: drum -> candidates, best first."""

    version: str  # of the models
    hits: dict[str, tuple[RemoteOneShot, ...]]
    fetch: Callable[[str], bytes]  # the kit as a ZIP in a format, or several
    source: Path | None = None  # the file that was sent, which no saved kit may replace

    def __repr__(self) -> str:
        """Short, for a prompt or a notebook: the sounds themselves are megabytes."""
        return f"RemoteKit({self.version}: {', '.join(f'{d} x {len(h)}' for d, h in self.hits.items())})"

    def save(self, folder: str | os.PathLike[str], format: str = "wav") -> list[Path]:
        """Makes the kit the one that `folder` holds, as `dose extract` does; formats as `Client.formats` has
        them, several separated by commas. Raises Occupied where that would overwrite what is no kit's."""
        from dose.kits.folder import put

        with zipfile.ZipFile(io.BytesIO(self.fetch(format))) as packed:
            contents = {Path(name).name: packed.read(name) for name in packed.namelist()}
        return put(Path(folder), contents, [self.source] if self.source else [])


class Client:
    """Talks to one service; waits when it is told that the service is busy."""

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
        return self._call("GET", "/state").json()

    @property
    def formats(self) -> list[str]:
        return self.state()["formats"]

    def extract(
        self,
        source: Source,
        *,
        drums: Sequence[str] | None = None,
        candidates: int = 1,
        seed: int = 0,
        **shape: Any,
    ) -> RemoteKit:
        """A kit out of a short sound (a path, or the bytes of a file), in one request.

        `shape` is name, tail, peak, lufs, rate, bits, channels, layers or absent, as the service documents
        them. Raises ServiceError for anything but a kit, AudioError for a file that is not there.
        """
        body = _read(source)
        ask = _query(drums, candidates, seed) | {k: str(v) for k, v in shape.items()}

        def send(reply: str, format: str = "wav") -> httpx.Response:
            query = {**ask, "reply": reply, "format": format}
            return self._call("POST", "/extract", params=query, files={"audio": ("audio", body)})

        return _kit(send("json").json(), lambda format: send("zip", format).content, source)

    def extract_song(
        self,
        source: Source,
        *,
        drums: Sequence[str] | None = None,
        candidates: int = 1,
        seed: int = 0,
        progress: Callable[[float, str], None] | None = None,
        **shape: Any,
    ) -> RemoteKit:
        """The same for a song of any length that the service takes: hands in a job and waits for it.

        A job that is given up (Ctrl-C, or an exception in `progress`) is cancelled.
        """
        job = self.submit(source, drums=drums, candidates=candidates, seed=seed)
        try:
            self.wait(job, progress)
        except BaseException:
            with contextlib.suppress(DoseError):
                self._call("POST", f"/jobs/{job}/cancel")
            raise
        query = {k: str(v) for k, v in shape.items()}

        def fetch(reply: str, format: str = "wav") -> httpx.Response:
            return self._call("GET", f"/jobs/{job}/kit", params={**query, "reply": reply, "format": format})

        return _kit(fetch("json").json(), lambda format: fetch("zip", format).content, source)

    def submit(
        self, source: Source, *, drums: Sequence[str] | None = None, candidates: int = 1, seed: int = 0
    ) -> str:
        """Hands in a song; the id of its job."""
        ask = _query(drums, candidates, seed)
        answer = self._call("POST", "/jobs", params=ask, files={"audio": ("audio", _read(source))})
        return answer.json()["id"]

    def wait(self, job: str, progress: Callable[[float, str], None] | None = None) -> None:
        """Returns when the job is done; ServiceError with the reason when it failed or was cancelled."""
        while True:
            now = self._call("GET", f"/jobs/{job}").json()
            if progress:
                progress(now["progress"], now["stage"])
            if now["state"] == "done":
                return
            if now["state"] in ("failed", "cancelled"):
                raise ServiceError(now["error"] or "The job was cancelled.", 409)
            time.sleep(0.3)

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as e:
                where = self._http.base_url
                raise ServiceError(f"{where} does not answer ({type(e).__name__}); is it up?", 0) from e
            if answer.is_success:
                return answer
            pause = float(answer.headers.get("retry-after", "1"))
            if answer.status_code != 429 or time.monotonic() + pause > deadline:
                raise _error(answer)
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


def _kit(reply: dict[str, Any], fetch: Callable[[str], bytes], source: Source) -> RemoteKit:
    names = [field.name for field in dataclasses.fields(RemoteOneShot) if field.name not in ("drum", "wav")]
    hits = {
        drum: tuple(
            RemoteOneShot(
                drum=drum, wav=base64.b64decode(row["audio"]), **{name: row[name] for name in names}
            )
            for row in rows
        )
        for drum, rows in reply["drums"].items()
    }
    path = None if isinstance(source, bytes) else Path(source)
    return RemoteKit(version=reply["version"], hits=hits, fetch=fetch, source=path)


def _error(answer: httpx.Response) -> ServiceError:
    try:
        told = answer.json()
        return ServiceError(told["error"], answer.status_code, told.get("request_id", ""))
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"The service answered {answer.status_code} and no more.", answer.status_code)
