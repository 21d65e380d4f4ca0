"""What goes wrong when a sidecar is asked, as exceptions that say what it said; every part of the client raises them.

No message holds a key, or more of an answer than its own error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN_CHARACTERS = 500
"""How much of somebody else's text a message takes over."""


class LlamaProxyError(Exception):
    """Something that was asked for was not done. Raised itself for a 4xx status that has no class of its own."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        details: Any = None,
        fields: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        """Of HTTP; None where no answer came."""
        self.code = code
        """`CONFLICT`, `NOT_FOUND`, ...; None where the answer is not in the contract's form."""
        self.details = details
        """Whatever else is said about it."""
        self.fields = dict(fields or {})
        """By field of what was sent (`models.0.name`), what is wrong with it."""
        self.request_id = request_id

    def __str__(self) -> str:
        status = "" if self.status is None else f"{self.status} "
        code = "" if self.code is None else f"{self.code}: "
        request = "" if self.request_id is None else f" (request {self.request_id})"
        return f"{status}{code}{self.message}{request}"


class ValidationError(LlamaProxyError):
    """400, 413, 415, 422: what was sent makes no sense; `fields` says which parts of it."""


class AuthenticationError(LlamaProxyError):
    """401: a key is needed, or this one is not known."""


class ForbiddenError(LlamaProxyError):
    """403: not with this key, or a path outside the configured folders."""


class NotFoundError(LlamaProxyError):
    """404: no such model, category, parameter or page."""


class ConflictError(LlamaProxyError):
    """409: not in the state that it is in; another model is loading, the model is in use, it exists already."""


class RateLimitedError(LlamaProxyError):
    """429, and all retries were, or would have come too late."""

    retry_after: float | None = None
    """Seconds to wait, where the answer says it."""


class ServerError(LlamaProxyError):
    """5xx: the sidecar, or a proxy before it, has failed."""


class UnavailableError(ServerError):
    """503, and all retries were, or would have come too late: what is needed for this is away now."""

    retry_after: float | None = None
    """Seconds to wait, where the answer says it."""


class ConnectFailedError(LlamaProxyError):
    """No answer came: nobody listens there, the connection broke, or it took too long."""


class ProtocolError(LlamaProxyError):
    """An answer came that is none of this contract: no JSON, a redirection, a document without what it must have."""


class NotLoadedError(LlamaProxyError):
    """`models.wait` has waited in vain: the load failed, as the message then says, or the time is over."""


BY_STATUS: Mapping[int, type[LlamaProxyError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: ValidationError,
    415: ValidationError,
    422: ValidationError,
    429: RateLimitedError,
    503: UnavailableError,
}


def failure(
    status: int, document: object, *, reason: str, request_id: str | None = None, retry_after: float | None = None
) -> LlamaProxyError:
    """The exception for an answer of 4xx or 5xx. `document` is its JSON, or None; `reason` what to say without."""
    kind = BY_STATUS.get(status, ServerError if status >= 500 else LlamaProxyError)
    said = document.get("error") if isinstance(document, dict) else None
    if not isinstance(said, dict):
        said = {"message": said}
    error = kind(
        _text(said.get("message")) or reason,
        status=status,
        code=_text(said.get("code")),
        details=said.get("details"),
        fields=_texts(said.get("fields")),
        request_id=_text(said.get("requestId")) or request_id,
    )
    if isinstance(error, RateLimitedError | UnavailableError):
        error.retry_after = retry_after
    return error


def _texts(value: object) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {key: text for key, each in pairs if (text := _text(each)) is not None}


def _text(value: object) -> str | None:
    return value[:SHOWN_CHARACTERS] if isinstance(value, str) and value else None
