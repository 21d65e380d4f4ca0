"""The admin listener as one application: the rooms behind the keys, and every error in the form of the room that it
concerns."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.cors import Cors
from exporter.api.forms import Forms
from exporter.api.framing import Framing
from exporter.api.operation import routes
from exporter.api.room import Room
from exporter.api.sessions import Sessions
from exporter.asgi import ASGIApp, Receive, Scope, Send
from exporter.keys import CHALLENGE, KEY_WANTED, KeyRing, credentials

FAILED = "the sidecar failed to answer; its log says why"


class KeyCheck:
    """Refuses requests without a valid key or session with 401, when keys are configured."""

    def __init__(
        self, app: ASGIApp, keys: KeyRing, sessions: Sessions, forms: Forms, open_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions
        self._forms = forms
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["path"] in self._open_paths or self._admits(scope):
            await self._app(scope, receive, send)
            return
        refusal = self._forms.at(scope["path"])(401, KEY_WANTED)
        refusal.headers["www-authenticate"] = CHALLENGE
        await refusal(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        """By the key that the request presents, or by its session where it presents none."""
        presented = _presented(scope["headers"])
        if self._keys.admits(presented):
            return True
        return not any(credentials(presented)) and self._sessions.admits(scope)


class Gates:
    """Has requests pass the gate of the room that they are for."""

    def __init__(self, app: ASGIApp, forms: Forms) -> None:
        self._app = app
        self._forms = forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        gate = self._forms.gate_at(scope["path"]) if scope["type"] == "http" else None
        if gate is None:
            await self._app(scope, receive, send)
        else:
            await gate(self._app, scope, receive, send)


def _presented(headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """Where there is an `x-api-key`, it is the one that counts."""
    if any(name == b"x-api-key" and value.strip() for name, value in headers):
        return [field for field in headers if field[0] != b"authorization"]
    return headers


def application(
    rooms: Sequence[Room], keys: KeyRing, cors_origins: Sequence[str] = ("*",), sessions: Sessions | None = None
) -> Starlette:
    """The application that serves the rooms. Pages of `cors_origins` may read; those named there may do more. Without
    `sessions`, only a key counts."""
    forms = Forms(rooms)
    operations = [operation for room in rooms for operation in room.operations]
    open_paths = frozenset(operation.path for operation in operations if operation.open)

    async def explain(request: Request, exc: Exception) -> Response:
        if not isinstance(exc, HTTPException):
            raise exc
        path = request.url.path
        response = forms.at(path)(exc.status_code, exc.detail)
        response.headers.update(exc.headers or {})
        return response

    async def fail(request: Request, _: Exception) -> Response:
        return forms.at(request.url.path)(500, FAILED)

    async def refuse_path(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        await forms.at(path)(404, f"no such path: {path}")(scope, receive, send)

    app = Starlette(
        routes=[*routes(operations), *(socket for room in rooms for socket in room.sockets)],
        middleware=[
            Middleware(Framing),
            Middleware(Cors, origins=cors_origins, forms=forms, trusts_names=bool(keys)),
            Middleware(KeyCheck, keys=keys, sessions=sessions or Sessions(()), forms=forms, open_paths=open_paths),
            Middleware(Gates, forms=forms),
        ],
        exception_handlers={HTTPException: explain, Exception: fail},
    )
    app.router.redirect_slashes = False  # Starlette's redirection names whatever host the client says
    app.router.default = refuse_path
    return app
