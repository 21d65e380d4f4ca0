"""The admin listener as one application: the rooms' routes behind the keys, and errors in one form."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from exporter.asgi import ASGIApp, Receive, Scope, Send
from exporter.keys import CHALLENGE, KEY_WANTED, KeyRing

OPEN_PATHS = frozenset(("/-/healthy",))
"""Answered without a key: an orchestrator's probe has none, and learns nothing but that we run."""


class KeyCheck:
    """Refuses requests without a valid key with 401, when keys are configured."""

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._keys.admits(scope["headers"]):
            await self._app(scope, receive, send)
            return
        refusal = error(401, KEY_WANTED)
        refusal.headers["www-authenticate"] = CHALLENGE
        await refusal(scope, receive, send)


def application(routes: Sequence[BaseRoute], keys: KeyRing) -> Starlette:
    """The application that serves the routes."""
    return Starlette(
        routes=list(routes),
        middleware=[Middleware(KeyCheck, keys=keys)],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )


def error(status: int, message: str) -> JSONResponse:
    """An error in the form `{"error": {"code", "message"}}`."""
    return JSONResponse({"error": {"code": status, "message": message}}, status)


async def _refuse(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, HTTPException):
        raise exc
    message = f"no such path: {request.url.path}" if exc.status_code == 404 else exc.detail
    response = error(exc.status_code, message)
    response.headers.update(exc.headers or {})
    return response


async def _fail(_: Request, __: Exception) -> Response:
    return error(500, "the sidecar failed to answer; its log says why")
