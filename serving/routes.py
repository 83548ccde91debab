"""The routes of the API and of the page, and what is answered at every other address."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import dose
from serving import openapi
from serving.groove_schemas import MidiParams
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

WEB = Path(__file__).parent / "web"
BENTOML_PATHS = ("/docs.json", "/static_content", "/assets")  # BentoML's own OpenAPI page
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
EXAMPLE = Path(dose.__file__).parent / "sources" / "demo" / "loop_garzul.flac"


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
    add(
        "/jobs/{id}/midi",
        "GET",
        jobs.get_midi,
        "fetch_midi",
        responses={
            200: {"description": "The groove.", "content": {"audio/midi": {"schema": openapi.BINARY}}},
            **openapi.errors(400, 401, 404, 409),
        },
        openapi_extra=openapi.options(MidiParams),
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


def allowed_methods(request: Request, path: str) -> list[str]:
    """The methods of all routes at `path`; empty where there is none. The router names only the first's."""
    routes = [r for r in request.app.routes if isinstance(r, Route) and not isinstance(r, _Fallback)]
    methods = {method for r in routes if r.path_regex.match(path) for method in r.methods or ()}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))
