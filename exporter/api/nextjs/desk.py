"""What the routes of the room have in common: what they may know, and how what goes wrong becomes an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import NO_CACHE, json_answer
from exporter.api.nextjs.answers import Refusal, request_id
from exporter.api.nextjs.bodies import Bodies
from exporter.api.nextjs.error_documents import AnyError
from exporter.api.nextjs.facts import Facts, SocketFigures
from exporter.api.nextjs.mistakes import LONGEST_SHOWN, shortened
from exporter.api.nextjs.recent import Recent
from exporter.api.operation import JSON, Answer, Handler
from exporter.api.views import Views
from exporter.models.model import ModelsError
from exporter.models.models import Models
from exporter.models.runtime import Runtime
from exporter.models.server.managed import ManagedServer

HEADERS = {
    "X-API-Version": "`v1.0.0`",
    "X-Request-ID": "That of the request where it has a usable one, else a new one",
    "X-RateLimit-Limit": "Requests a minute that one address may make; absent, as are the other two, without a limit",
    "X-RateLimit-Remaining": "How many it has left",
    "X-RateLimit-Reset": "When it begins anew; UTC seconds since the epoch",
}
RETRY = {**HEADERS, "Retry-After": "Seconds"}
REFUSED = {
    400: Answer("What was sent is not valid; `fields` says which parts of it, and why", AnyError, headers=HEADERS),
    403: Answer(
        "A path outside the configured folders (`models.dir`), or a web page of an origin that `admin.cors_origins` "
        "does not name",
        AnyError,
        headers=HEADERS,
    ),
    404: Answer("There is no such thing", AnyError, headers=HEADERS),
    408: Answer("The body was not complete in time", AnyError, headers={**HEADERS, "Connection": "`close`"}),
    409: Answer("Not in the state that it is in; `message` says why", AnyError, headers=HEADERS),
    413: Answer("The body is longer than 10 MB", AnyError, headers=HEADERS),
    429: Answer("Too many requests from this address", AnyError, headers=RETRY),
    500: Answer("The file system, the store or the router has failed", AnyError, headers=HEADERS),
    503: Answer("What it needs is away now, or busy", AnyError, headers=RETRY),
}
WITH_BODY = (400, 408, 413, 503)
"""How taking a body can end."""

LONGEST_FIELD = 300
"""Characters of a field's name, and of what is wrong with it."""

log = logging.getLogger(__name__)


def refusals(*statuses: int) -> dict[int, Answer | tuple[Answer, ...]]:
    """These errors, and what every route can answer."""
    return {status: REFUSED[status] for status in sorted({*statuses, 429})}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes may know, and whom they ask."""

    views: Views
    models: Models
    runtime: Runtime
    server: Callable[[], ManagedServer | None]
    """The llama-server that the sidecar runs itself; None where it runs none."""
    facts: Facts
    recent: Recent
    connected: Callable[[], SocketFigures]
    bodies: Bodies = field(default_factory=Bodies)

    @property
    def wall(self) -> float:
        """UTC seconds since the epoch, now."""
        return self.views.wall()

    def refuse(self, status: int, message: str) -> Response:
        """An error."""
        return Refusal(status, message, wall=self.views.wall)

    def guard(self, handle: Handler) -> Handler:
        """The handler, with the errors of `exporter.models` as answers."""

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except ModelsError as error:
                if error.status == 500:
                    log.warning(
                        "a request to the model manager failed",
                        extra={
                            "path": shortened(request.url.path),
                            "request_id": request_id(request.scope),
                            "reason": str(error),
                        },
                    )
                message = _shortened(str(error), request.path_params.values())
                return Refusal(error.status, message, _named(error.fields), wall=self.views.wall)

        return guarded


def _shortened(message: str, names: Iterable[str]) -> str:
    """With no more than the beginning of names that nobody has."""
    for name in names:
        if len(name) > LONGEST_SHOWN:
            for written in (name, repr(name)[1:-1]):
                message = message.replace(written, shortened(name))
    return message


def _named(fields: Mapping[str, str]) -> dict[str, str]:
    names = {name: ".".join(map(shortened, name.split("."))) for name in fields}
    return {shortened(names[name], LONGEST_FIELD): shortened(fields[name], LONGEST_FIELD) for name in fields}


def found(document: object, status: int = 200) -> Response:
    """A document."""
    return json_answer(document, status)


def written(document: bytes) -> Response:
    """One that is JSON already."""
    return Response(document, headers=NO_CACHE, media_type=JSON)
