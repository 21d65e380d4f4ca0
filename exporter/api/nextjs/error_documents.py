"""The contract's errors: one form for all routes, and one for the two whose real clients want a text in `error`."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from exporter.api.documents import Time, document


@document
class ErrorFacts(TypedDict):
    """What went wrong."""

    code: str
    """`VALIDATION_ERROR`, `NOT_FOUND`, `CONFLICT`, `RATE_LIMITED`, ..."""
    message: str
    details: str
    """Which fields of the request are wrong, and why; empty where no field is concerned."""
    fields: dict[str, str]
    """The same by field."""
    timestamp: Time
    requestId: str
    """As in `X-Request-ID`."""


@document
class Error(TypedDict):
    """An error."""

    error: ErrorFacts
    status: int
    """The same as that of HTTP."""


@document
class PlainError(TypedDict):
    """An error of starting or stopping a model, whose clients show `error` as it is."""

    error: str
    success: Literal[False]
    model: str | None
    status: Literal["error", "not_found"]
    message: str
    """The same as `error`."""
    code: str
    details: str
    fields: dict[str, str]
    timestamp: Time
    requestId: str


AnyError = Error | PlainError
