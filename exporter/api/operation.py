"""What a room declares of its routes: one `Operation` per method and path, with the types of what goes in and comes
out.

`routes` makes Starlette's routes of them, `openapi` their description; so what is served is what is described.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Handler = Callable[[Request], Awaitable[Response]]
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of answer to an operation."""

    about: str
    shape: Any = None
    """Type of the document; None where the media type has no JSON."""
    media: str | None = JSON
    """None: no body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What header fields of its own it has, and what they mean."""
    example: Any = None
    """A document of the type, for readers of the description."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter in the query."""

    name: str
    about: str
    shape: Any = str
    """Type of its value."""
    default: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    method: str
    """GET answers HEAD as well."""
    path: str
    handler: Handler
    name: str
    """Unique in the whole description, as code generators want it: `get_queries`."""
    about: str
    """One line."""
    answers: Mapping[int, Answer | tuple[Answer, ...]]
    """By status. What every operation of a room can answer (401, 405, 500) is the room's to say."""
    details: str = ""
    """Markdown, for what does not fit in one line."""
    parameters: tuple[Parameter, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the variable parts of the path are, by name: of `/models/{name:path}`, `name`."""
    body: Any = None
    """Type of the body; None where there is none."""
    body_media: str = JSON
    body_required: bool = True
    open: bool = False
    """Answered without a key."""
    described: bool = True
    """False for what is only a part of another answer, such as a page's script."""


def routes(operations: Sequence[Operation]) -> list[Route]:
    """One route per path; a method that a path does not have is answered with 405 and `Allow`."""
    by_path: dict[str, dict[str, Handler]] = {}
    for operation in operations:
        methods = by_path.setdefault(operation.path, {})
        methods[operation.method] = operation.handler
        if operation.method == "GET":
            methods["HEAD"] = operation.handler
    return [_route(path, handlers) for path, handlers in by_path.items()]


def _route(path: str, handlers: Mapping[str, Handler]) -> Route:
    allowed = ", ".join(sorted(handlers))

    async def dispatch(request: Request) -> Response:
        handler = handlers.get(request.method)
        if handler is None:
            raise HTTPException(405, f"{request.method} is not allowed here, only {allowed}", {"allow": allowed})
        return await handler(request)

    route = Route(path, dispatch, name=path)
    route.methods = None  # every method, so that it is ours to refuse them all in the room's form
    return route
