"""The HTTP application: what it is made of, and its routes.

It is an ASGI application of its own, mounted by the BentoML service at its root. BentoML's typed endpoints
would answer 500 to a form that is cut off in the middle, have no path parameters (/jobs/{id}) and buffer a
body before any limit is looked at.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import dose
from dose.errors import DoseError
from serving import openapi, telemetry
from serving.feedback import FeedbackLog
from serving.jobs.store import JobStore
from serving.jobs.worker import Runner
from serving.limits import APIError, ConcurrencyLimiter, TokenBuckets
from serving.middleware import RequestMiddleware, problem, refusal
from serving.models.manager import ModelManager
from serving.models.shadow import ShadowTraffic
from serving.routers import jobs
from serving.routers.extract import extract
from serving.routers.status import StatusResponse, state
from serving.settings import ServingConfig, api_key, load_config, state_folder
from serving.state import AppState
from serving.uploads import ExtractParams, InferenceParams, KitParams, RenderParams

WEB = Path(__file__).parent / "web"
BENTOML = ("/docs.json", "/static_content", "/assets")  # its view of the routes
EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
NOTHING = "There is nothing at this address; see /openapi.json."
EXAMPLE = Path(dose.__file__).parent / "sources" / "demo" / "loop_garzul.flac"


def create_app(make_engine: Callable[[ServingConfig], ModelManager] | None = None) -> FastAPI:
    """The application; models are loaded and jobs taken up when it starts, not before."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.start_logging()
        house = build_house(make_engine)
        app.state.house = house
        house.engine.start()
        house.runner.start()
        yield
        telemetry.event("stopping")
        house.runner.stop()
        house.shadows.stop()
        house.engine.stop()
        house.store.close()

    app = FastAPI(
        title="DOSE",
        version="1",
        description="Drum one-shots out of a finished mix.",
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        root_path_in_servers=False,  # it would keep every prefix that a caller names
    )
    app.add_middleware(RequestMiddleware)
    app.add_exception_handler(APIError, lambda _, e: refusal(e))  # type: ignore[arg-type]
    app.add_exception_handler(DoseError, lambda _, e: problem(400, str(e)))
    app.add_exception_handler(RequestValidationError, _path_problem)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_problem)  # type: ignore[arg-type]
    add_routes(app)
    return app


def build_house(make_engine: Callable[[ServingConfig], ModelManager] | None) -> AppState:
    config = load_config()
    engine = make_engine(config) if make_engine else ModelManager(config)
    store = JobStore(state_folder(config), config.song_attempts)
    signals = FeedbackLog(config)
    return AppState(
        config=config,
        engine=engine,
        desk=ConcurrencyLimiter("short", config.concurrency, config.queue, config.wait_seconds),
        uploads=ConcurrencyLimiter("uploads", config.concurrency, config.queue, config.wait_seconds),
        buckets=TokenBuckets(config.rate_per_minute, config.burst),
        store=store,
        runner=Runner(config, engine, store, signals),
        shadows=ShadowTraffic(engine, config.short),
        signals=signals,
        key=api_key(),
    )


def add_routes(app: FastAPI) -> None:
    def add(path: str, method: str, endpoint, name: str, **facts) -> None:
        app.add_api_route(
            path, endpoint, methods=[method], operation_id=name, response_class=Response, **facts
        )

    common = (400, 401, 429)
    accepted: openapi.Answers = {202: {"model": jobs.JobResponse, "description": "Taken; see Location."}}
    found: openapi.Answers = {200: {"model": jobs.JobResponse, "description": "The job."}}
    upload, roll = openapi.upload, openapi.options(InferenceParams)
    add(
        "/extract",
        "POST",
        extract,
        "extract",
        responses=openapi.kit(*common, 408, 413, 503),
        openapi_extra=upload(ExtractParams),
    )
    sent = {"status_code": 202, "responses": {**accepted, **openapi.problems(*common, 404, 409)}}
    told = {"responses": {**found, **openapi.problems(401, 404)}}
    add(
        "/jobs",
        "POST",
        jobs.submit,
        "submit",
        status_code=202,
        responses={**accepted, **openapi.problems(*common, 408, 413)},
        openapi_extra=upload(InferenceParams),
    )
    add("/jobs/{id}", "GET", jobs.status, "status", **told)
    add(
        "/jobs/{id}/kit",
        "GET",
        jobs.kit,
        "fetch_kit",
        responses=openapi.kit(400, 401, 404, 409),
        openapi_extra=openapi.options(KitParams),
    )
    add(
        "/jobs/{id}/hits/{drum}/{rank}",
        "GET",
        jobs.hit,
        "fetch_hit",
        responses={
            200: {"description": "The hit.", "content": {"audio/wav": {"schema": openapi.BINARY}}},
            206: {"description": "The part of it that Range asked for."},
            **openapi.problems(400, 401, 404, 409, 416),
        },
        openapi_extra=openapi.options(RenderParams),
    )
    sound = {"application/octet-stream": {"schema": openapi.BINARY}}
    back: openapi.Answers = {200: {"description": "The song.", "content": sound}}
    back |= openapi.problems(401, 404)
    add("/jobs/{id}/song", "GET", jobs.song, "fetch_song", responses=back)
    add("/jobs/{id}/reroll", "POST", jobs.reroll, "reroll", **sent, openapi_extra=roll)
    add("/jobs/{id}/retry", "POST", jobs.retry, "retry", **sent)
    add("/jobs/{id}/cancel", "POST", jobs.cancel, "cancel", **told)
    gone = {"status_code": 204, "responses": openapi.problems(401, 404)}
    add("/jobs/{id}", "DELETE", jobs.delete, "delete", **gone)
    about: openapi.Answers = {200: {"model": StatusResponse, "description": "Models, formats and limits."}}
    add("/state", "GET", state, "state", responses=about)
    app.add_api_route("/", page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/example.flac", example, methods=["GET"], include_in_schema=False)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    # BentoML hands over only what a route here matches, and answers the rest with two words of its own.
    app.router.routes.append(_Rest("/{path:path}", unknown, methods=EVERY, include_in_schema=False))


async def page(request: Request) -> Response:
    return FileResponse(WEB / "index.html")


async def example(request: Request) -> Response:
    """A loop in the public domain, for who has no song at hand."""
    return FileResponse(EXAMPLE, media_type="audio/flac")


class _Rest(Route):
    """Matches whatever no route before it takes, but for what BentoML serves after this application."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if get_route_path(scope).startswith(BENTOML):
            return Match.NONE, {}
        return super().matches(scope)


async def unknown(request: Request) -> Response:
    """A known path with a wrong method or with one slash too many, or none at all."""
    path = get_route_path(request.scope)
    if allowed_at(request, path):
        raise HTTPException(405)
    if path.endswith("/") and allowed_at(request, path.rstrip("/")):
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(request.scope.get("root_path", "") + path.rstrip("/") + query)
    raise HTTPException(404)


async def _path_problem(request: Request, e: RequestValidationError) -> Response:
    """Only parts of a path are checked by their type; there is nothing at a path that does not fit."""
    return problem(404, NOTHING)


async def _http_problem(request: Request, e: HTTPException) -> Response:
    if e.status_code == 405:  # below a mount the path is another one: static files
        allowed = allowed_at(request, get_route_path(request.scope)) or ["GET", "HEAD"]
        sentence = f"This address takes {', '.join(allowed)}, not {request.method}; see /openapi.json."
        return problem(405, sentence, {"Allow": ", ".join(allowed)})
    if e.status_code == 404:
        return problem(404, NOTHING)
    return problem(e.status_code, f"{str(e.detail).rstrip('.')}.", dict(e.headers or {}))


def allowed_at(request: Request, path: str) -> list[str]:
    """The methods of all routes at a path, of which the router names those of the first; none at no route."""
    routes = [r for r in request.app.routes if isinstance(r, Route) and not isinstance(r, _Rest)]
    methods = {method for r in routes if r.path_regex.match(path) for method in r.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))
