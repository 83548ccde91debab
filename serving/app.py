"""The HTTP application: construction, routes, error handlers.

It is a FastAPI application that the BentoML service mounts at its root. BentoML's own typed endpoints answer
500 to a truncated form, have no path parameters (/jobs/{id}), and buffer a whole body before any limit is
checked.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

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
from serving.jobs.worker import JobWorker
from serving.limits import APIError, ConcurrencyLimiter, TokenBuckets
from serving.middleware import RequestMiddleware, api_error_response, error_response
from serving.models.manager import ModelManager
from serving.models.shadow import ShadowTraffic
from serving.routers import jobs
from serving.routers.extract import extract
from serving.routers.status import get_state
from serving.schemas import (
    ExtractParams,
    InferenceParams,
    JobResponse,
    KitParams,
    RenderParams,
    StatusResponse,
)
from serving.settings import ServingConfig, api_key, load_config, state_folder
from serving.state import AppState

WEB = Path(__file__).parent / "web"
BENTOML_PATHS = ("/docs.json", "/static_content", "/assets")  # BentoML's own OpenAPI page
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
NOT_FOUND = "There is nothing at this address; see /openapi.json."
EXAMPLE = Path(dose.__file__).parent / "sources" / "demo" / "loop_garzul.flac"


def create_app(make_manager: Callable[[ServingConfig], ModelManager] = ModelManager) -> FastAPI:
    """The application. Loading models and running jobs begin when it starts, not on import."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        telemetry.start_logging()
        state = build_state(make_manager)
        app.state.dose = state
        state.manager.start()
        state.worker.start()
        yield
        telemetry.event("stopping")
        # In reverse order: nothing may use the models or the store after they are closed.
        state.worker.stop()
        state.shadow.stop()
        state.manager.stop()
        state.store.close()

    app = FastAPI(
        title="DOSE",
        version="1",
        description="Drum one-shots out of a finished mix.",
        docs_url=None,  # FastAPI's documentation pages load scripts from other hosts
        redoc_url=None,
        lifespan=lifespan,
        root_path_in_servers=False,  # else /openapi.json would collect every X-Forwarded-Prefix it ever saw
    )
    # Outermost: it sees every request, also those that no route matches.
    app.add_middleware(RequestMiddleware)
    app.add_exception_handler(APIError, lambda _, e: api_error_response(e))  # type: ignore[arg-type]
    # DoseError's text is written for users, so it can be the response as it is.
    app.add_exception_handler(DoseError, lambda _, e: error_response(400, str(e)))
    app.add_exception_handler(RequestValidationError, _path_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    add_routes(app)
    return app


def build_state(make_manager: Callable[[ServingConfig], ModelManager]) -> AppState:
    config = load_config()
    manager = make_manager(config)
    store = JobStore(state_folder(config), config.song_attempts)
    feedback = FeedbackLog(config)
    return AppState(
        config=config,
        manager=manager,
        extract_limiter=ConcurrencyLimiter("short", config.concurrency, config.queue, config.wait_seconds),
        upload_limiter=ConcurrencyLimiter("uploads", config.concurrency, config.queue, config.wait_seconds),
        rate_limiter=TokenBuckets(config.rate_per_minute, config.burst),
        store=store,
        worker=JobWorker(config, manager, store, feedback),
        shadow=ShadowTraffic(manager, config.short),
        feedback=feedback,
        api_key=api_key(),
    )


def add_routes(app: FastAPI) -> None:
    def add(path: str, method: str, endpoint: Callable[..., Any], operation_id: str, **options: Any) -> None:
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=operation_id,
            response_class=Response,
            **options,
        )

    # FastAPI cannot derive these from the endpoints, which take and return Starlette's raw types: they stream
    # uploads and choose their response by the Accept header.
    common = (400, 401, 429)
    accepted: openapi.Responses = {202: {"model": JobResponse, "description": "Queued; see Location."}}
    found: openapi.Responses = {200: {"model": JobResponse, "description": "The job."}}
    add(
        "/extract",
        "POST",
        extract,
        "extract",
        responses=openapi.kit(*common, 408, 413, 503),
        openapi_extra=openapi.upload(ExtractParams),
    )
    add(
        "/jobs",
        "POST",
        jobs.submit_job,
        "submit",
        status_code=202,
        responses={**accepted, **openapi.errors(*common, 408, 413)},
        openapi_extra=openapi.upload(InferenceParams),
    )
    job_or_error = {**found, **openapi.errors(401, 404)}
    add("/jobs/{id}", "GET", jobs.get_job, "status", responses=job_or_error)
    add(
        "/jobs/{id}/kit",
        "GET",
        jobs.get_kit,
        "fetch_kit",
        responses=openapi.kit(400, 401, 404, 409),
        openapi_extra=openapi.options(KitParams),
    )
    add(
        "/jobs/{id}/hits/{drum}/{rank}",
        "GET",
        jobs.get_hit,
        "fetch_hit",
        responses={
            200: {"description": "The hit.", "content": {"audio/wav": {"schema": openapi.BINARY}}},
            206: {"description": "The part of it that Range asked for."},
            **openapi.errors(400, 401, 404, 409, 416),
        },
        openapi_extra=openapi.options(RenderParams),
    )
    binary = {"application/octet-stream": {"schema": openapi.BINARY}}
    song: openapi.Responses = {200: {"description": "The song.", "content": binary}}
    add("/jobs/{id}/song", "GET", jobs.get_song, "fetch_song", responses=song | openapi.errors(401, 404))
    queued = {**accepted, **openapi.errors(*common, 404, 409)}
    reroll_options = openapi.options(InferenceParams)
    add(
        "/jobs/{id}/reroll",
        "POST",
        jobs.reroll_job,
        "reroll",
        status_code=202,
        responses=queued,
        openapi_extra=reroll_options,
    )
    add("/jobs/{id}/retry", "POST", jobs.retry_job, "retry", status_code=202, responses=queued)
    add("/jobs/{id}/cancel", "POST", jobs.cancel_job, "cancel", responses=job_or_error)
    deleted = openapi.errors(401, 404)
    add("/jobs/{id}", "DELETE", jobs.delete_job, "delete", status_code=204, responses=deleted)
    status: openapi.Responses = {200: {"model": StatusResponse, "description": "Models, formats and limits."}}
    add("/state", "GET", get_state, "state", responses=status)
    # The page, which the API's document leaves out.
    app.add_api_route("/", page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/example.flac", example, methods=["GET"], include_in_schema=False)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    # BentoML forwards only requests that a route here matches, and answers others with plain text.
    app.router.routes.append(_Fallback("/{path:path}", unknown, methods=METHODS, include_in_schema=False))


async def page(request: Request) -> Response:
    return FileResponse(WEB / "index.html")


async def example(request: Request) -> Response:
    """A loop in the public domain, for trying the page without a file."""
    return FileResponse(EXAMPLE, media_type="audio/flac")


class _Fallback(Route):
    """Matches every path that no route before it matches, except those that BentoML serves itself."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # BentoML serves its own paths only where this application matches nothing.
        if get_route_path(scope).startswith(BENTOML_PATHS):
            return Match.NONE, {}
        return super().matches(scope)


async def unknown(request: Request) -> Response:
    """405 for a known path with another method, a redirect for one with a trailing slash, else 404."""
    path = get_route_path(request.scope)
    if allowed_methods(request, path):
        raise HTTPException(405)
    if path.endswith("/") and allowed_methods(request, path.rstrip("/")):
        # The fallback route matches every path, so the router's own redirect of slashes never applies.
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(request.scope.get("root_path", "") + path.rstrip("/") + query)
    raise HTTPException(404)


async def _path_error(request: Request, e: RequestValidationError) -> Response:
    """FastAPI validates path parameters only; a path that does not fit does not exist."""
    return error_response(404, NOT_FOUND)


async def _http_error(request: Request, e: HTTPException) -> Response:
    if e.status_code == 405:
        # Below a mount (static files) no route matches the whole path; it answers GET and HEAD.
        allowed = allowed_methods(request, get_route_path(request.scope)) or ["GET", "HEAD"]
        message = f"This address takes {', '.join(allowed)}, not {request.method}; see /openapi.json."
        return error_response(405, message, {"Allow": ", ".join(allowed)})
    if e.status_code == 404:
        return error_response(404, NOT_FOUND)
    return error_response(e.status_code, f"{str(e.detail).rstrip('.')}.", dict(e.headers or {}))


def allowed_methods(request: Request, path: str) -> list[str]:
    """The methods of all routes at `path`; empty where there is none. The router names only the first's."""
    routes = [r for r in request.app.routes if isinstance(r, Route) and not isinstance(r, _Fallback)]
    methods = {method for r in routes if r.path_regex.match(path) for method in r.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))
