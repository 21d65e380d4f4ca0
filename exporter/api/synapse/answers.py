"""The contract's way to answer: `{"error", "message", "details"}` for errors, and `X-Request-ID` on every answer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from starlette.responses import Response

from exporter.api.documents import NO_CACHE, encode
from exporter.api.request_id import REQUEST_ID, given_id
from exporter.api.synapse import documents
from exporter.asgi import Receive, Scope, Send

HEADERS = MappingProxyType({REQUEST_ID: "That of the request where it has a usable one, else a new one"})
NO_DETAILS: Mapping[str, str] = MappingProxyType({})
NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "PayloadTooLarge",
    426: "UpgradeRequired",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class JSONAnswer(Response):
    """A JSON document that nobody may cache. It looks at the request only when it is sent, so that errors, which are
    made without it, say which request they answer as well."""

    media_type = "application/json"

    def __init__(self, document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(encode(document), status, headers={**NO_CACHE, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self.headers[REQUEST_ID] = request_id(scope)
        await super().__call__(scope, receive, send)


def request_id(scope: Scope) -> str:
    """The client's, as far as it can be sent back (printable ASCII of sane length), else a new one."""
    return given_id(scope) or str(uuid4())


def refuse(
    status: int, message: str, details: Mapping[str, str] = NO_DETAILS, headers: Mapping[str, str] | None = None
) -> Response:
    """An error."""
    error: documents.Error = {"error": NAMES.get(status, "Error"), "message": message, "details": dict(details)}
    return JSONAnswer(error, status, headers)
