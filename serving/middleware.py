"""What every request passes: an id, the key, the rate, a log line, and no error without a sentence."""

import re
import time
from typing import Any

from starlette._utils import get_route_path
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import telemetry
from serving.limits import APIError, check_key, client_of

_GUARDED = ("/extract", "/jobs")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"media-src 'self' blob:; connect-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    ),
]


class RequestMiddleware:
    """ASGI middleware around the application; needs `app.state.house`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._open: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        _place(scope, headers)
        method = scope["method"]
        if method == "HEAD":  # as GET, without the body: FastAPI's routes have no HEAD of their own
            scope["method"] = "GET"
        token = telemetry.request_id.set(telemetry.new_request_id(headers.get("x-request-id")))
        start, status = time.perf_counter(), 0

        async def stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", telemetry.request_id.get().encode()), *_HEADERS]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            elif method == "HEAD":
                if message.get("more_body"):
                    return
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            try:
                self._admit(scope, headers)
                await self._inner(scope)(scope, receive, stamped)
            except APIError as e:
                await refusal(e)(scope, receive, stamped)
            except Exception as e:  # a bug: logged with its traceback, answered without it
                telemetry.event("failed", level=40, error=e, path=scope["path"][:100])
                if status:
                    raise
                await problem(500, "The service made a mistake; send its request id to whoever runs it.")(
                    scope, receive, stamped
                )
        finally:
            self._book(scope, method, status, time.perf_counter() - start)
            telemetry.request_id.reset(token)

    def _inner(self, scope: Scope) -> ASGIApp:
        """The application, behind CORS when the params name origins that may call it."""
        origins = scope["app"].state.house.config.cors_origins
        if origins and self._open is None:
            self._open = CORSMiddleware(
                self.app,
                allow_origins=list(origins),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["X-API-Key", "Authorization", "X-Request-ID"],
                expose_headers=["Retry-After", "X-Request-ID", "X-Dose-Version"],
            )
        return self._open or self.app

    def _admit(self, scope: Scope, headers: dict[str, str]) -> None:
        if not get_route_path(scope).startswith(_GUARDED) or scope["method"] == "OPTIONS":
            return
        house = scope["app"].state.house
        check_key(headers, house.key)
        if scope["method"] == "POST":
            peer = scope["client"][0] if scope.get("client") else "local"
            house.buckets.take(client_of(headers, peer, house.config.proxy_hops))

    def _book(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        telemetry.REQUEST_SECONDS.labels(route, str(status)).observe(seconds)
        if get_route_path(scope).startswith(_GUARDED):
            facts: dict[str, Any] = {"route": route, "method": method, "status": status}
            telemetry.event("request", **facts, seconds=round(seconds, 4))


def _place(scope: Scope, headers: dict[str, str]) -> None:
    """Puts the path under which a proxy offers the service in front: redirects and Location lead there.

    Whoever sends the header is told of it in the answer, and nobody else.
    """
    prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
    if re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix):
        scope["root_path"] = prefix + scope.get("root_path", "")
        scope["path"] = prefix + scope["path"]


def problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    body = {"error": sentence, "request_id": telemetry.request_id.get()}
    return JSONResponse(body, status_code=status, headers=headers)


def refusal(e: APIError) -> Response:
    headers = {} if e.retry_after is None else {"Retry-After": str(e.retry_after)}
    if e.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(e.status, e.sentence, headers)
