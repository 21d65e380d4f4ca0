"""What the documents of all rooms have in common: types, rounding, JSON answers, and reading bodies."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

BODY_LIMIT_SECONDS = 10.0
"""From the head of a request to the end of its body. Bodies here are small; whoever sends half of one holds a
connection, and the stop."""
_TOO_LONG = "the body is longer than {} bytes"
NO_CACHE = {"cache-control": "no-cache"}

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$",
        json_schema_extra={"format": "date-time"},
        examples=["2026-11-20T08:32:30.000Z"],
    ),
]
"""What `exporter.utc` makes."""

document = with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))
"""For the type of a document: nothing but the keys that are named, and what stands below a key describes it."""


def percent(share: float | None, digits: int = 1) -> float:
    """A share (0 to 1) as 0 to 100; 0 where it is not known."""
    return round(min(max(share or 0.0, 0.0), 1.0) * 100, digits)


def encode(document: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document that nobody may cache."""
    return Response(encode(document), status, headers={**NO_CACHE, **(headers or {})}, media_type="application/json")


async def read_body(request: Request, limit_bytes: int, grows: Callable[[int], None] | None = None) -> bytes:
    """The whole body. `grows` is told how long it is so far, and can raise to end it.

    Raises HTTPException, which `admin` answers in the room's form: 413 for one that is too long, at once where its head
    says so; 408 for one that was not complete in `BODY_LIMIT_SECONDS`, whose connection is of no more use."""
    if _declared_bytes(request) > limit_bytes:
        raise _too_long(request, limit_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT_SECONDS):
            async for piece in request.stream():
                length = len(body) + len(piece)
                if length > limit_bytes:
                    raise HTTPException(413, _TOO_LONG.format(limit_bytes))
                if grows is not None:
                    grows(length)
                body += piece
    except TimeoutError:
        raise HTTPException(408, "the rest of the body did not come in time", {"connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "the client left before the end of the body") from None
    return bytes(body)


def _declared_bytes(request: Request) -> float:
    said = request.headers.get("content-length", "").lstrip("0")
    if not (said.isascii() and said.isdigit()):
        return 0
    return int(said) if len(said) < 20 else math.inf


def _too_long(request: Request, limit_bytes: int) -> HTTPException:
    """Without having read anything. What comes all the same is dropped by the server. A client that waits for leave to
    send it (`Expect`) may not send it after this answer, and nobody could say where its next request begins: such a
    connection ends (RFC 9110, 10.1.1)."""
    waits = "100-continue" in request.headers.get("expect", "").lower()
    return HTTPException(413, _TOO_LONG.format(limit_bytes), {"connection": "close"} if waits else None)
