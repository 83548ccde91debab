"""The HTTP surface: its routes and what they are documented to take and give.

It is an ASGI application of its own, mounted by the BentoML service at its root. BentoML's typed endpoints
would answer 500 to a form that is cut off in the middle, have no path parameters (/jobs/{id}) and buffer a
body before any limit is looked at.
"""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from dose.errors import DoseError
from serving import replies, telemetry, work
from serving.admission import Buckets, Desk, Refusal
from serving.engine import Engine
from serving.gate import Gate, problem, refusal
from serving.settings import ServingConfig, api_key, load_config
from serving.uploads import Ask, Shape, parse, received

WEB = Path(__file__).parent / "web"


@dataclasses.dataclass(kw_only=True)
class House:
    """What lives as long as the service runs."""

    config: ServingConfig
    engine: Engine
    desk: Desk
    buckets: Buckets
    key: str | None


def create_app(make_engine: Callable[[ServingConfig], Engine] | None = None) -> FastAPI:
    """The application; models are loaded when it starts, not before."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.start_logging()
        config = load_config()
        engine = make_engine(config) if make_engine else Engine(config.reload_seconds)
        app.state.house = House(
            config=config,
            engine=engine,
            desk=Desk(config),
            buckets=Buckets(config.rate_per_minute, config.burst),
            key=api_key(),
        )
        engine.start()
        yield
        engine.stop()

    app = FastAPI(
        title="DOSE",
        version="1",
        description="Drum one-shots out of a finished mix.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Gate)
    app.add_exception_handler(Refusal, lambda _, e: refusal(e))  # type: ignore[arg-type]
    app.add_exception_handler(DoseError, lambda _, e: problem(400, str(e)))
    app.add_exception_handler(HTTPException, _http_problem)  # type: ignore[arg-type]
    app.add_api_route(
        "/extract",
        extract,
        methods=["POST"],
        operation_id="extract",
        summary="Extract a kit from a short sound, and wait for it",
        responses=KIT_RESPONSES,
        openapi_extra=upload_document(Ask),
        response_model=None,
    )
    app.add_api_route("/", page, methods=["GET"], include_in_schema=False)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    return app


async def extract(request: Request) -> Response:
    """Takes a WAV, FLAC, OGG, MP3 or AIFF file and gives a ZIP with one WAV per drum (or JSON)."""
    house: House = request.app.state.house
    async with house.desk.place(), received(request, house.config) as (file, values):
        ask = parse(Ask, values)
        check_ask(house, ask)
        async with house.desk.turn():
            clock = telemetry.StageClock()
            cancelled = threading.Event()
            watcher = asyncio.create_task(_watch(request, cancelled))

            def make() -> Response:
                kit = work.run(
                    house.engine,
                    file,
                    ask,
                    house.config.short,
                    clock=clock,
                    route="/extract",
                    cancelled=cancelled,
                )
                with clock("pack"):
                    return kit_response(request, kit, ask)

            try:
                return await anyio.to_thread.run_sync(make)
            except work.Stopped:
                raise Refusal(499, "The caller went away.") from None
            finally:
                watcher.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    """Sets `gone` when the caller hangs up, so that nobody computes for nobody."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def check_ask(house: House, ask: Any) -> None:
    if ask.candidates > house.config.max_candidates:
        raise Refusal(
            400, f"At most {house.config.max_candidates} candidates can be asked for, not {ask.candidates}."
        )


def kit_response(request: Request, kit: Any, shape: Shape) -> Response:
    """The kit in the form asked for by the option `reply`, else by the Accept header, else as a ZIP."""
    accept = request.headers.get("accept", "")
    if shape.reply == "json" or (shape.reply is None and "application/json" in accept):
        return JSONResponse(replies.as_json(kit, shape, version_of(request)).model_dump())
    name = "kit.zip" if shape.format == "wav" else f"kit-{shape.format}.zip"
    return Response(
        replies.as_zip(kit, shape),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def version_of(request: Request) -> str:
    bundle = getattr(request.app.state.house.engine.extractor(), "bundle", None)
    return str(getattr(bundle, "version", "unknown"))


async def page(request: Request) -> Response:
    return FileResponse(WEB / "index.html")


async def _http_problem(request: Request, e: HTTPException) -> Response:
    return problem(e.status_code, f"{str(e.detail).rstrip('.')}.")


def upload_document(model: type) -> dict[str, Any]:
    """OpenAPI for a route that takes a sound and the options of `model`."""
    binary = {"type": "string", "format": "binary"}
    return {
        "parameters": query_document(model),
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "title": "Upload",
                        "type": "object",
                        "required": ["audio"],
                        "properties": {"audio": {**binary, "description": "The sound file."}},
                    }
                }
            },
        },
    }


def query_document(model: type) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"]  # type: ignore[attr-defined]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", ""),
            "schema": {k: v for k, v in schema.items() if k not in ("title", "description")},
        }
        for name, schema in properties.items()
    ]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    what = {
        400: "The sound or an option cannot be used.",
        401: "An API key is needed.",
        404: "There is no such job.",
        409: "The job is not in the right state.",
        413: "The sound is too large or too long.",
        429: "Too busy, or too many requests; see Retry-After.",
        503: "There are no models yet.",
    }
    return {s: {"model": replies.Problem, "description": what[s]} for s in statuses}


KIT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The kit, as JSON with base64 WAVs or as a ZIP of WAVs.",
        "model": replies.KitReply,
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    },
    **problems(400, 401, 413, 429, 503),
}
