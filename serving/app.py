"""The HTTP application: construction and error handlers.

It is a FastAPI application that the BentoML service mounts at its root. BentoML's own typed endpoints answer
500 to a truncated form, have no path parameters (/jobs/{id}), and buffer a whole body before any limit is
checked.
"""

import contextlib
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dose.errors import DoseError
from serving import telemetry
from serving.feedback import FeedbackLog
from serving.jobs.store import JobStore
from serving.jobs.worker import JobWorker
from serving.limits import APIError, ConcurrencyLimiter, TokenBuckets
from serving.middleware import RequestMiddleware, api_error_response, error_response
from serving.models.manager import ModelManager
from serving.models.shadow import ShadowTraffic
from serving.routes import add_routes, allowed_methods
from serving.settings import ServingConfig, api_key, load_config, state_folder
from serving.state import AppState

NOT_FOUND = "There is nothing at this address; see /openapi.json."


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
