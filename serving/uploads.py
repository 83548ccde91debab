"""From an HTTP request to a file and options, with bounded time, disk and memory.

The body is spooled to an unnamed temporary file, so that no file is left behind, even after a crash. The file
name that the caller gave is never used.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO, TypeVar, cast

import pydantic
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from serving.limits import CLIENT_CLOSED_REQUEST, APIError
from serving.schemas import deprecated_names
from serving.settings import ServingConfig

_MB = 2**20
_SPOOL_BYTES = _MB  # a body up to this size stays in memory
_MAX_FIELDS = 20  # form fields: there are fewer options than that
_MAX_FIELD_BYTES = 4096
_SNIFFED_BYTES = 1024

Params = TypeVar("Params", bound=pydantic.BaseModel)


def parse_params(model: type[Params], values: Mapping[str, str]) -> Params:
    """`values` as an instance of `model`. APIError (400) names the first option that does not fit."""
    try:
        return model.model_validate(dict(values))
    except pydantic.ValidationError as e:
        first = e.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(first["loc"][0])[:40] if first["loc"] else "request"
        # pydantic reports an unknown option by this type; the user needs the list of known ones.
        if first["type"] == "extra_forbidden":
            # An old name is unknown to pydantic only where today's name is given too.
            if today := deprecated_names(model).get(name):
                raise APIError(400, f"'{name}' is the old name of '{today}'; give one of them.") from None
            known = ", ".join(model.model_fields)
            raise APIError(400, f"There is no option '{name}'; the options are {known}.") from None
        text = first["msg"].removeprefix("Value error, ")
        text = text[0].lower() + text[1:]
        raise APIError(400, f"The option '{name}' does not fit: {text}.") from None


@contextlib.asynccontextmanager
async def receive_upload(
    request: Request, config: ServingConfig
) -> AsyncIterator[tuple[BinaryIO, dict[str, str]]]:
    """The uploaded file and the options (query parameters and form fields) of a request.

    Accepts a multipart form with one file in any field, or the bare file as the body under any content type:
    `curl --data-binary` declares every body as an urlencoded form.
    APIError: 400 no file, 408 too slow, 413 too large.
    """
    # Rejected by its declared length before a byte is read; `_limit_body` counts what really comes.
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > config.upload_mb * _MB:
        raise _too_large(config)
    limited = Request(request.scope, _limit_body(request, config))
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    options = dict(request.query_params)
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(config.upload_seconds):
                if content_type == "multipart/form-data":
                    file = await _read_form(limited, options, stack)
                else:
                    file = await _read_body(limited, stack)
        except TimeoutError:
            raise APIError(
                408, f"The upload took longer than {config.upload_seconds:g} s; send a smaller file."
            ) from None
        except HTTPException as e:
            raise APIError(
                400, f"The form could not be read ({str(e.detail)[:80]}); send one file as 'audio'."
            ) from None
        except ClientDisconnect:
            raise APIError(CLIENT_CLOSED_REQUEST, "The client closed the connection.") from None
        if file.seek(0, 2) == 0:
            raise APIError(
                400, "The upload is empty; send a WAV, FLAC, OGG, MP3, AIFF or M4A file as 'audio'."
            )
        file.seek(0)
        head = file.read(_SNIFFED_BYTES)
        # An urlencoded form is ASCII without NUL bytes; audio has other bytes in its first kilobyte.
        if content_type == "application/x-www-form-urlencoded" and head.isascii() and b"\0" not in head:
            raise _no_file()
        file.seek(0)
        yield file, options


async def _read_form(request: Request, options: dict[str, str], stack: contextlib.AsyncExitStack) -> BinaryIO:
    """The file of a multipart form; its text fields are added to `options`."""
    form = await stack.enter_async_context(
        request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES)
    )
    options |= {name: value for name, value in form.items() if isinstance(value, str)}
    # The first file wins, whatever its field is called; the form's parser rejects a second one.
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if not files:
        raise _no_file()
    return files[0].file


async def _read_body(request: Request, stack: contextlib.AsyncExitStack) -> BinaryIO:
    """The whole body, spooled to a temporary file."""
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 - closed by the stack
    file = cast(BinaryIO, stack.enter_context(spool))
    async for chunk in request.stream():
        await asyncio.to_thread(file.write, chunk)
    return file


def _limit_body(request: Request, config: ServingConfig) -> Receive:
    """The request's `receive`, which raises 413 for a body longer than declared or allowed."""
    total = 0

    async def receive() -> Message:
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
