"""The documents of this room. Their keys and units are the contract's; `requests` and what follows it are what its
newest server answers, the keys before that are what its description names and older clients read."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document

Moment = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$",
        examples=["2026-11-20T08:32:30.123456"],
    ),
]
"""What `exporter.dates.write_naive` makes: without a zone, as the original's, whose front end adds the browser's
offset to what has one."""
ErrorType = Literal[
    "rate_limit",
    "invalid_request",
    "http_error",
    "connection_error",
    "response_parse_error",
    "streaming_error",
    "streaming_incomplete",
]
"""The contract's words for what went wrong."""


@document
class ModelCount(TypedDict):
    """Requests of a model."""

    model: str
    count: Count


@document
class OriginCount(TypedDict):
    """Requests of an origin."""

    origin: str
    count: Count


@document
class ReasonCount(TypedDict):
    """Answers that ended for a reason."""

    reason: str
    """As the server named it: `stop`, `length`, `tool_calls`, ..."""
    count: Count


@document
class ErrorCount(TypedDict):
    """Failures of a kind."""

    type: ErrorType
    count: Count


@document
class AllRequests(TypedDict):
    """Streamed or not."""

    total: Count
    successful: Count
    failed: Count
    avg_response_time_ms: Amount
    """Of all, failed ones included; 0 without."""


@document
class Tokens(TypedDict):
    """Tokens as servers reported them."""

    reported_count: Count
    """Requests with a report."""
    total: Count
    prompt_total: Count
    completion_total: Count
    avg_tokens_per_second: NotRequired[Amount]
    """Mean of output tokens / time to last token; absent without."""


@document
class Timing(TypedDict):
    """Means over requests of which the times are known; absent without."""

    avg_time_to_first_token_ms: NotRequired[Amount]
    avg_time_to_last_token_ms: NotRequired[Amount]
    avg_completion_duration_ms: NotRequired[Amount]
    """From the first to the last token."""


@document
class NonStreamedRequests(Timing):
    """Requests whose answers came in one piece: their first and last token came at the end."""

    total: Count
    successful: Count
    failed: Count
    tokens: Tokens
    error_types: dict[ErrorType, Count]


@document
class StreamedRequests(NonStreamedRequests):
    """Requests whose answers were streamed."""

    avg_response_time_ms: Amount
    """Of all of them, failed ones included; 0 without."""


@document
class Requests(TypedDict):
    """Figures of both kinds, and of each."""

    total: AllRequests
    streamed: StreamedRequests
    non_streamed: NonStreamedRequests


@document
class Metrics(TypedDict):
    """Figures over the requests that finished in a period. What is not known is null, or absent in `requests`."""

    total_requests: Count
    successful_requests: Count
    failed_requests: Count
    """All that are not successful: also those that the client broke off."""
    recent_requests_24h: Count
    """Of the last 24 hours, whatever the period."""
    streaming_requests: Count
    non_streaming_requests: Count
    total_tokens_used: Count
    """Prompt and completion tokens as servers reported them."""
    avg_tokens_per_request: Amount | None
    """Over requests with a report."""
    avg_response_time_ms: Amount | None
    """Over successful requests."""
    avg_tokens_per_second: Amount | None
    """Mean of output tokens / time to last token."""
    avg_time_to_first_token_ms: Amount | None
    """Over streamed requests."""
    avg_time_to_last_token_ms: Amount | None
    """Over streamed requests."""
    avg_completion_duration_ms: Amount | None
    """From the first to the last token, over streamed requests."""
    top_models: Annotated[list[ModelCount], Field(max_length=5)]
    """The most requests first, then by name."""
    top_origins: Annotated[list[OriginCount], Field(max_length=5)]
    """The most requests first, then by name."""
    finish_reasons: list[ReasonCount]
    """The most frequent first, then by name."""
    error_types: list[ErrorCount]
    """The most frequent first, then by name."""
    requests: Requests
    model_distribution: dict[str, Count]
    """Requests by model: the 1,000 with the most."""
    origin_distribution: dict[str, Count]
    """Requests by origin: the 1,000 with the most."""
    success_rate: Percent
    """Of all requests; what the oldest front ends read, as is the next one."""
    streaming_percentage: Percent
    avg_prompt_tokens: Amount | None
    """Over requests with a report; what one version of the front end reads, as are the next two."""
    avg_completion_tokens: Amount | None
    avg_total_tokens: Amount | None
    timestamp: Time


@document
class RowTokens(TypedDict):
    """Tokens of one request; null: not known."""

    total: Count | None
    """Of those that are known."""
    prompt: Count | None
    completion: Count | None


@document
class RowTiming(TypedDict):
    """Times of one request; null: not known."""

    time_to_first_token_ms: Count | None
    time_to_last_token_ms: Count | None
    response_time_ms: Count
    """The whole request, also where it failed."""


@document
class CompletionRequest(TypedDict):
    """One finished request; null: not known."""

    timestamp: Moment
    """When it finished: UTC, without a zone."""
    time_to_first_token_ms: Count | None
    """From its start; the whole duration where the answer was complete and not streamed."""
    time_to_last_token_ms: Count | None
    """The same."""
    is_streaming: bool
    success: bool
    message_count: Count | None
    prompt_tokens: Count | None
    tokens: RowTokens
    timing: RowTiming
    """Once more, where newer clients look."""
    model: str | None
    origin: str | None
    finish_reason: str | None
    error_type: ErrorType | None


@document
class Healthy(TypedDict):
    """The history can be read."""

    status: Literal["healthy"]
    timestamp: Time


@document
class Unhealthy(TypedDict):
    """It cannot."""

    status: Literal["unhealthy"]
    timestamp: Time
    detail: str
    """Why not."""


@document
class Failure(TypedDict):
    """An error."""

    detail: str
