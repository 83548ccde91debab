"""From a request to a sound and options, with bounded time, disk and memory.

The body is spooled to an unnamed temporary file, so that nothing can be left behind, whatever happens. A name
that the caller gave the file is never used for anything.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Annotated, BinaryIO, Literal, cast

import numpy as np
import pydantic
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from dose import audio
from dose.drums import DRUMS
from dose.extract.postprocess import PostprocessConfig
from dose.kits.write import FORMATS, parse_formats
from serving.limits import APIError
from serving.settings import Bound, ServingConfig

NAME = "The upload"  # how messages call the file
_MB = 2**20


class InferenceParams(pydantic.BaseModel):
    """What may be asked of an extraction, as query parameters or as form fields."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    drums: Annotated[str, pydantic.Field(description="Which drums, separated by commas.")] = ",".join(DRUMS)
    candidates: Annotated[int, pydantic.Field(ge=1, description="Candidates per drum, best first.")] = 1
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**31, description="Same seed, same kit.")] = 0

    @pydantic.field_validator("drums")
    @classmethod
    def _known(cls, text: str) -> str:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in names if name not in DRUMS]:
            raise ValueError(f"does not know '{unknown[0][:40]}'; choose from {', '.join(DRUMS)}")
        if not names:
            raise ValueError(f"names no drum; choose from {', '.join(DRUMS)}")
        return ",".join(drum for drum in DRUMS if drum in names)

    def drum_list(self) -> tuple[str, ...]:
        return tuple(self.drums.split(","))


class RenderParams(pydantic.BaseModel):
    """How a finished kit is handed over; needs no new extraction."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    tail: Annotated[
        str,
        pydantic.Field(description="Length of the hits in seconds: `0.3`, or per drum `kick:0.5,hihat:0.1`."),
    ] = ""
    peak: Annotated[
        str, pydantic.Field(description="Peak of the hits in dBFS: `-1`, or per drum `kick:-1,snare:-3`.")
    ] = "-1"
    lufs: Annotated[
        str, pydantic.Field(description="Loudness of the hits in LUFS, instead of a peak; also per drum.")
    ] = ""
    rate: Annotated[int, pydantic.Field(ge=8000, le=192_000, description="Samples per second.")] = audio.RATE
    bits: Annotated[Literal["16", "24", "32"], pydantic.Field(description="32 is float.")] = "16"
    channels: Annotated[
        Literal["mono", "mix"], pydantic.Field(description="mix: stereo, panned as in the mix.")
    ] = "mono"
    format: Annotated[
        str,
        pydantic.Field(description="Kit formats of the ZIP, separated by commas, or `all`; see GET /state."),
    ] = "wav"
    name: Annotated[
        str, pydantic.Field(max_length=200, description="The kit's name; without one it gets one of its own.")
    ] = ""
    layers: Annotated[
        Literal["round-robin", "velocity"],
        pydantic.Field(description="How several candidates share a pad of the kit."),
    ] = "round-robin"
    absent: Annotated[
        Literal["keep", "drop"],
        pydantic.Field(description="What to do with drums that are probably not in the mix."),
    ] = "keep"
    reply: Annotated[
        Literal["auto", "zip", "json"],
        pydantic.Field(description="ZIP, or JSON with base64 WAVs; auto: the Accept header decides."),
    ] = "auto"

    @pydantic.field_validator("tail")
    @classmethod
    def _tail(cls, text: str) -> str:
        return _checked(text, 0.02, 10.0)

    @pydantic.field_validator("peak", "lufs")
    @classmethod
    def _level(cls, text: str) -> str:
        return _checked(text, -60.0, 0.0)

    @pydantic.field_validator("format")
    @classmethod
    def _format(cls, text: str) -> str:
        known = (*FORMATS, "all")
        wanted = [part.strip().lower() for part in text.split(",") if part.strip()]
        if unknown := [part for part in wanted if part not in known]:
            raise ValueError(f"does not know '{unknown[0][:40]}'; choose from {', '.join(known)}")
        if not wanted:
            raise ValueError(f"names no format; choose from {', '.join(known)}")
        return ",".join(wanted)

    @property
    def formats(self) -> tuple[str, ...]:
        return parse_formats(self.format)

    def finish(self, drum: str) -> PostprocessConfig:
        """How the hits of one drum are finished."""
        return PostprocessConfig(
            peak_db=per_drum(self.peak).get(drum, -1.0),
            lufs=per_drum(self.lufs).get(drum),
            tail=per_drum(self.tail).get(drum),
            rate=self.rate,
        )


class KitParams(RenderParams):
    """What GET /jobs/{id}/kit takes: a shape, and which candidates."""

    pick: Annotated[
        str, pydantic.Field(description="One candidate per drum, by rank from 1: `kick:2,snare:1`.")
    ] = ""

    @pydantic.field_validator("pick")
    @classmethod
    def _pick(cls, text: str) -> str:
        return _checked(text, 1, 1000)


def per_drum(text: str) -> dict[str, float]:
    """ "0.3" as the same number for every drum, "kick:0.5,hihat:0.1" as one for each that is named."""
    if not text:
        return {}
    if ":" not in text:
        return dict.fromkeys(DRUMS, float(text))
    pairs = (part.split(":", 1) for part in text.split(",") if part.strip())
    return {drum.strip(): float(number) for drum, number in pairs}


def _checked(text: str, low: float, high: float) -> str:
    try:
        numbers = per_drum(text)
    except ValueError:
        raise ValueError(f"must be a number, or numbers per drum as in kick:1, not '{text[:40]}'") from None
    if unknown := sorted(numbers.keys() - set(DRUMS)):
        raise ValueError(f"does not know '{unknown[0][:40]}'; choose from {', '.join(DRUMS)}")
    if any(not low <= number <= high for number in numbers.values()):
        raise ValueError(f"must lie between {low:g} and {high:g}")
    return text


class ExtractParams(InferenceParams, RenderParams):
    """Everything that POST /extract takes besides the sound."""


def parse(model: type[pydantic.BaseModel], values: Mapping[str, str]):
    """`values` as an instance of `model`; a 400 Refusal names the option that does not fit."""
    try:
        return model.model_validate(dict(values))
    except pydantic.ValidationError as e:
        problem = e.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(problem["loc"][0])[:40] if problem["loc"] else "request"
        if problem["type"] == "extra_forbidden":
            known = ", ".join(model.model_fields)
            raise APIError(400, f"There is no option '{name}'; the options are {known}.") from None
        text = problem["msg"].removeprefix("Value error, ")
        text = text[0].lower() + text[1:]
        raise APIError(400, f"The option '{name}' does not fit: {text}.") from None


@contextlib.asynccontextmanager
async def received(request: Request, config: ServingConfig) -> AsyncIterator[tuple[BinaryIO, dict[str, str]]]:
    """The uploaded file and the options (query parameters and form fields) of a request.

    Takes a multipart form with one file in it, whatever the field is called, or the file itself as the body,
    of whatever type it says it is: `curl --data-binary` calls a sound an urlencoded form.
    Refusals: 400 no file, 408 too slow, 413 too large.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > config.upload_mb * _MB:
        raise _too_large(config)
    limited = Request(request.scope, _limited(request, config))
    options = dict(request.query_params)
    async with contextlib.AsyncExitStack() as stack:
        file: BinaryIO
        try:
            async with asyncio.timeout(config.upload_seconds):
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind == "multipart/form-data":
                    form = await stack.enter_async_context(
                        limited.form(max_files=1, max_fields=20, max_part_size=4096)
                    )
                    options |= {k: v for k, v in form.items() if isinstance(v, str)}
                    files = [v for v in form.values() if isinstance(v, UploadFile)]
                    if not files:
                        raise _no_file()
                    file = files[0].file
                else:
                    spool = tempfile.SpooledTemporaryFile(max_size=_MB)  # noqa: SIM115
                    file = cast(BinaryIO, stack.enter_context(spool))
                    async for chunk in limited.stream():
                        await asyncio.to_thread(file.write, chunk)
        except TimeoutError:
            raise APIError(
                408, f"The upload took longer than {config.upload_seconds:g} s; send a smaller file."
            ) from None
        except HTTPException as e:
            raise APIError(
                400, f"The form could not be read ({str(e.detail)[:80]}); send one file as 'audio'."
            ) from None
        except ClientDisconnect:
            raise APIError(499, "The caller went away.") from None
        if file.seek(0, 2) == 0:
            raise APIError(
                400, "The upload is empty; send a WAV, FLAC, OGG, MP3, AIFF or M4A file as 'audio'."
            )
        file.seek(0)
        head = file.read(1024)
        if kind == "application/x-www-form-urlencoded" and head.isascii() and b"\0" not in head:
            raise _no_file()  # it is a form: the head of every sound file has bytes that no form has
        file.seek(0)
        yield file, options


def _limited(request: Request, config: ServingConfig):
    """The request's `receive`, which stops a body that is longer than it declared or than allowed."""
    total = 0

    async def receive():
        nonlocal total
        message = await request.receive()
        total += len(message.get("body", b""))
        if total > config.upload_mb * _MB:
            raise _too_large(config)
        return message

    return receive


def _no_file() -> APIError:
    return APIError(400, "No file came with the form; send the sound as the field 'audio'.")


def _too_large(config: ServingConfig) -> APIError:
    return APIError(
        413, f"The upload is larger than {config.upload_mb} MB; send it as FLAC, OGG or MP3, or cut it."
    )


def stream(file: BinaryIO, bound: Bound) -> Iterator[np.ndarray]:
    """The sound in blocks [C, N] at 44.1 kHz; one is in memory at a time.

    Ends with a Refusal (413) where the sound goes on beyond `bound`, whatever the header says. Raises
    AudioError for what is not sound.
    """
    file.seek(0)
    info = audio.probe(file, NAME)
    by_size = bound.decoded_mb * _MB / (4 * info.rate * info.channels)
    most = int(min(bound.seconds, by_size) * audio.RATE) + 2  # the resampler may round up
    file.seek(0)
    total = 0
    for block in audio.stream(file, name=NAME):
        total += block.shape[1]
        if total <= most:
            yield block
        elif bound.seconds <= by_size:
            raise APIError(
                413, f"{NAME} is longer than {bound.seconds:g} s; cut it, or send whole songs to /jobs."
            )
        else:
            raise APIError(
                413,
                f"{NAME} decodes to more than {bound.decoded_mb} MB; send it in stereo at 44.1 or 48 kHz.",
            )
