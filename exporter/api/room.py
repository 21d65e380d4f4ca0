"""What a room is to `admin`, which puts the rooms together: its operations, its sockets, its form of errors, and what
it does in the background."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import Response
from starlette.routing import BaseRoute

from exporter.api.documents import json_answer
from exporter.api.operation import Operation
from exporter.asgi import ASGIApp, Receive, Scope, Send


class Refuse(Protocol):
    """Makes an error in a contract's form."""

    def __call__(self, status: int, message: str) -> Response:
        """The answer."""
        ...


class Gate(Protocol):
    """Stands before what is answered at a room's places."""

    async def __call__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have `app` answer a request, or refuse it."""
        ...


def refuse(status: int, message: str) -> Response:
    """The form of errors where no contract has another: `{"error": {"code", "message"}}`."""
    return json_answer({"error": {"code": status, "message": message}}, status)


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Room:
    """One public contract on the admin listener."""

    name: str
    """As the description groups it."""
    about: str
    """What the contract is, in a sentence or two of Markdown."""
    operations: tuple[Operation, ...] = ()
    places: tuple[str, ...] = ()
    """Paths that are the room's, also where there is nothing: with a slash at the end, all that begin so. The longest
    decides."""
    refuse: Refuse = refuse
    """Its form of errors: keys, unknown paths, methods, failures."""
    error_shape: Any = None
    """Type of an error's document; None: the common one."""
    gate: Gate | None = None
    """Stands before every HTTP request in the room's places, behind keys: also for paths and methods that there are
    not."""
    sockets: tuple[BaseRoute, ...] = ()
    """WebSocket routes, which the description cannot hold."""
    work: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """Background work by name, for the supervisor."""
    close: Callable[[], None] = _nothing
    """The sidecar is about to stop: end what streams."""
    readers: Callable[[], int] = lambda: 0
    """Live streams that are being read."""
