"""Middleware: request id, authentication, rate limit, security headers, logging, error bodies."""

import logging
import re
import time
from typing import Any

from starlette._utils import get_route_path
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import telemetry
from serving.limits import APIError, check_key, client_address
from serving.schemas import ErrorResponse
from serving.state import app_state

# Routes that need the key, count against the rate limit and are logged.
_PROTECTED = ("/extract", "/jobs")
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"media-src 'self' blob:; connect-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    ),
]


class RequestMiddleware:
    """ASGI middleware around the application; needs `AppState`, which the application's start creates."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._with_cors: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        # HTTP header bytes are Latin-1 (RFC 9110, section 5.5).
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        _apply_forwarded_prefix(scope, headers)
        method = scope["method"]
        # FastAPI's routes do not answer HEAD: it runs as GET, and `send_response` drops the body.
        if method == "HEAD":
            scope["method"] = "GET"
        token = telemetry.request_id.set(telemetry.new_request_id(headers.get("x-request-id")))
        start, status = time.perf_counter(), 0

        async def send_response(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = [(b"x-request-id", telemetry.request_id.get().encode()), *_SECURITY_HEADERS]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            elif method == "HEAD":
                if message.get("more_body"):
                    return  # only the last message of a body goes out, emptied
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            try:
                self._authorise(scope, headers)
                await self._application(scope)(scope, receive, send_response)
            except APIError as e:
                await api_error_response(e)(scope, receive, send_response)
            except Exception as e:  # a bug: the traceback goes to the log only
                telemetry.event("failed", level=logging.ERROR, error=e, path=scope["path"][:100])
                if status:  # the response has begun; it can only be cut off
                    raise
                message = "The service made a mistake; send its request id to whoever runs it."
                await error_response(500, message)(scope, receive, send_response)
        finally:
            self._record(scope, method, status, time.perf_counter() - start)
            telemetry.request_id.reset(token)

    def _application(self, scope: Scope) -> ASGIApp:
        """The application, behind CORS when the settings name origins that may call it."""
        origins = app_state(scope["app"]).config.cors_origins
        # Built on first use: the settings are loaded when the application starts, after the middleware.
        if origins and self._with_cors is None:
            self._with_cors = CORSMiddleware(
                self.app,
                allow_origins=list(origins),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["X-API-Key", "Authorization", "X-Request-ID"],
                expose_headers=["Retry-After", "X-Request-ID", "X-Dose-Version"],
            )
        return self._with_cors or self.app

    def _authorise(self, scope: Scope, headers: dict[str, str]) -> None:
        """APIError 401 without the key, 429 over the rate. CORS preflights carry no key and are exempt."""
        if not get_route_path(scope).startswith(_PROTECTED) or scope["method"] == "OPTIONS":
            return
        state = app_state(scope["app"])
        check_key(headers, state.api_key)
        if scope["method"] == "POST":  # polling and downloads are not limited
            peer = scope["client"][0] if scope.get("client") else "local"
            state.rate_limiter.consume(client_address(headers, peer, state.config.proxy_hops))

    def _record(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        # The route's pattern, not the path: job ids would give the metric a label value each.
        route = getattr(scope.get("route"), "path", "other")
        telemetry.REQUEST_SECONDS.labels(route, str(status)).observe(seconds)
        if get_route_path(scope).startswith(_PROTECTED):
            facts: dict[str, Any] = {"route": route, "method": method, "status": status}
            telemetry.event("request", **facts, seconds=round(seconds, 4))


def _apply_forwarded_prefix(scope: Scope, headers: dict[str, str]) -> None:
    """Prepends X-Forwarded-Prefix, the service's path behind a proxy, to redirects and Location.

    The header affects only the response to its own request, so it needs no trust in the client.
    """
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    # Only unreserved characters: a header from outside must not put a host or a line break into Location.
    if re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
        scope["root_path"] = prefix + scope.get("root_path", "")
        scope["path"] = prefix + scope["path"]


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    body = ErrorResponse(error=message, request_id=telemetry.request_id.get())
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def api_error_response(e: APIError) -> Response:
    headers = {} if e.retry_after is None else {"Retry-After": str(e.retry_after)}
    if e.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return error_response(e.status, e.message, headers)
