"""The contract's words for what went wrong, and its form of errors."""

from __future__ import annotations

from starlette.responses import Response

from exporter.api.completions.documents import ErrorType, Failure
from exporter.api.documents import json_answer
from exporter.record import AttemptResult, Outcome

UNANSWERED = frozenset(
    (
        *(result.value for result in AttemptResult if result is not AttemptResult.ANSWERED),
        "no_upstream_available",
        "shutdown",
        "internal_error",
        "client_gone",
    )
)
"""Reasons that the sidecar gives where no server has answered; the status, if there is one, is the sidecar's own."""
RECORDED = "recorded"
"""The reason of what an application tells of requests that went elsewhere."""
STATUS_WORDS: dict[int, ErrorType] = {400: "invalid_request", 429: "rate_limit"}


def error_word(outcome: str, status_code: int | None, error_type: str | None, *, stream: bool) -> ErrorType | None:
    """What went wrong, in the contract's words, of a request as its record describes it; None where nothing did.

    The first that applies: the table in docs/api-completions.md.
    """
    if outcome == Outcome.COMPLETED:
        return None
    if outcome == Outcome.STREAM_ERROR:
        return "streaming_error"
    if error_type == AttemptResult.PROTOCOL_ERROR:
        return "response_parse_error"
    if error_type == RECORDED:
        return "http_error"
    if status_code is not None and status_code >= 400 and error_type not in UNANSWERED:
        return STATUS_WORDS.get(status_code, "http_error")
    begun = status_code is not None and status_code < 400
    return "streaming_incomplete" if stream and begun else "connection_error"


def refuse(status: int, message: str) -> Response:
    """The form of errors."""
    failure: Failure = {"detail": message}
    return json_answer(failure, status)
