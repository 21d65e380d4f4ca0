"""The contract's way to answer: what stands in the head of every answer, and errors, which are made when they are sent,
since only then is it known which request they answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from secrets import token_hex
from types import MappingProxyType

from starlette.responses import Response

from exporter.api.documents import NO_CACHE, encode
from exporter.api.nextjs.error_documents import Error, ErrorFacts, PlainError
from exporter.api.nextjs.mistakes import shortened
from exporter.api.nextjs.rate_limit import Verdict
from exporter.api.request_id import REQUEST_ID, given_id
from exporter.asgi import Receive, Scope, Send
from exporter.utc import utc

API_VERSION = "v1.0.0"
LONGEST_MESSAGE = 1000
"""Characters."""
RETRY_SECONDS = 5
"""After which a service that is away may be back."""
NOTHING: Mapping[str, str] = MappingProxyType({})
ANSWERED_PLAINLY = re.compile(r"/api/(?:models/(?P<model>.+)/(?:start|stop)|model-templates)", re.DOTALL)
CODES = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    429: "RATE_LIMITED",
    500: "INTERNAL_ERROR",
    503: "SERVICE_UNAVAILABLE",
}
_ID, _VERDICT = "nextjs.request_id", "nextjs.verdict"


def request_id(scope: Scope) -> str:
    """The client's, as far as it can be sent back (printable ASCII of sane length), else a new one; the same each
    time."""
    known: str | None = scope.get(_ID)
    if known is None:
        known = scope[_ID] = given_id(scope) or f"req_{token_hex(8)}"
    return known


def note_verdict(scope: Scope, verdict: Verdict) -> None:
    """Have the answer say what is left of the rate limit."""
    scope[_VERDICT] = verdict


def stamp(scope: Scope) -> dict[str, str]:
    """Header fields of the answer to this request, whatever it is."""
    fields = {"X-API-Version": API_VERSION, REQUEST_ID: request_id(scope)}
    verdict: Verdict | None = scope.get(_VERDICT)
    if verdict is not None:
        fields["X-RateLimit-Limit"] = str(verdict.limit)
        fields["X-RateLimit-Remaining"] = str(verdict.remaining)
        fields["X-RateLimit-Reset"] = str(verdict.reset)
    return fields


class Refusal(Response):
    """An error."""

    media_type = "application/json"

    def __init__(
        self,
        status: int,
        message: str,
        fields: Mapping[str, str] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(b"", status, headers={**NO_CACHE, **headers})
        self._message = shortened(message, LONGEST_MESSAGE)
        self._fields = dict(fields)
        self._wall = wall
        if status == 503 and "retry-after" not in self.headers:
            self.headers["Retry-After"] = str(RETRY_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self.body = encode(self._document(scope))
        self.headers["content-length"] = str(len(self.body))
        self.headers.update(stamp(scope))
        await super().__call__(scope, receive, send)

    def _document(self, scope: Scope) -> Error | PlainError:
        facts: ErrorFacts = {
            "code": CODES.get(self.status_code, "ERROR"),
            "message": self._message,
            "details": "; ".join(f"{field}: {reason}" for field, reason in self._fields.items()),
            "fields": self._fields,
            "timestamp": utc(self._wall()),
            "requestId": request_id(scope),
        }
        plainly = ANSWERED_PLAINLY.fullmatch(scope["path"])
        if plainly is None:
            return {"error": facts, "status": self.status_code}
        return {
            "error": f"{self._message} ({facts['details']})" if self._fields else self._message,
            "success": False,
            "model": plainly["model"] and shortened(plainly["model"]),
            "status": "not_found" if self.status_code == 404 else "error",
            "message": self._message,
            "code": facts["code"],
            "details": facts["details"],
            "fields": self._fields,
            "timestamp": facts["timestamp"],
            "requestId": facts["requestId"],
        }
