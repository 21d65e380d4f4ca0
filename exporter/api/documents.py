"""What the documents of all rooms have in common: types, times, rounding, JSON answers, and reading bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config
from starlette.requests import Request
from starlette.responses import Response

BODY_LIMIT_SECONDS = 10.0
"""From the head of a request to the end of its body. Bodies here are small; whoever sends half of one holds a
connection, and the stop."""
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
"""What `utc` makes."""

document = with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))
"""For the type of a document: nothing but the keys that are named, and what stands below a key describes it."""


def utc(wall: float, timespec: str = "milliseconds") -> str:
    """`2026-11-20T08:32:35.123Z`; strict clients refuse `+00:00`. `timespec` as for `datetime.isoformat`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def percent(share: float | None, digits: int = 1) -> float:
    """A share (0 to 1) as 0 to 100; 0 where it is not known."""
    return round(min(max(share or 0.0, 0.0), 1.0) * 100, digits)


def encode(document: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON document that nobody may cache."""
    return Response(encode(document), status, headers={**NO_CACHE, **(headers or {})}, media_type="application/json")


class BodyTooLongError(Exception):
    """A body is longer than any that means something."""


class BodyTooLateError(Exception):
    """A body was not complete in `BODY_LIMIT_SECONDS`. Its connection is of no more use: the answer is to close it."""


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body. Raises BodyTooLongError, BodyTooLateError, and Starlette's ClientDisconnect."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > limit_bytes:
                    raise BodyTooLongError
    except TimeoutError:
        raise BodyTooLateError from None
    return bytes(body)
