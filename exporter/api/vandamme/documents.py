"""The documents of this room. Their keys, order and units are the contract's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, document

MESSAGE = "Request metrics logging is disabled"
SUGGESTION = "Set LOG_REQUEST_METRICS=true to enable tracking"
"""The original suggests `=false to disable tracking`, which it is already."""


@document
class ActiveRequest(TypedDict):
    """A request in flight that asks a model for something. What is not known (yet) is 0."""

    request_id: str
    provider: str
    """That of the upstream, as configured."""
    model: str
    """As the client named it, without a provider in front; else what it was resolved to; else `unknown`."""
    requested_model: str
    """As the client named it; `unknown` when it did not."""
    resolved_model: str
    """The name under which the totals count it: the model that was chosen, where the client left the choice to the
    sidecar; else as the client named it; empty when neither is known."""
    qualified_model: str
    """With the provider in front."""
    is_streaming: bool
    start_time: float
    """Seconds since the epoch (UTC)."""
    duration_ms: Count
    """So far."""
    input_tokens: Count
    """As soon as the server has told."""
    output_tokens: Count
    """Streamed so far."""
    cache_read_tokens: Count
    """Input tokens that the prompt cache had; they are among `input_tokens`."""
    cache_creation_tokens: Count
    """Always 0: llama-server keeps no account of that."""
    tool_uses: Count
    """Calls of tools in the conversation that was sent."""
    tool_results: Count
    """Results of tools in it."""
    tool_calls: Count
    """Calls of tools in the answer, so far."""
    request_size: Count
    """Bytes of the request's body."""
    message_count: Count


@document
class ActiveRequests(TypedDict):
    """Who is in flight now, newest first."""

    disabled: Literal[False]
    active_requests: list[ActiveRequest]


@document
class ActiveRequestsDisabled(TypedDict):
    """Nothing is recorded."""

    disabled: Literal[True]
    message: str
    suggestion: str
    active_requests: Annotated[list[ActiveRequest], Field(max_length=0)]


@document
class Update(TypedDict):
    """The data of an `update` event."""

    disabled: Literal[False]
    active_requests: list[ActiveRequest]
    timestamp: float
    """Seconds since the epoch (UTC)."""


@document
class Disabled(TypedDict):
    """The data of a `disabled` event, and the answer when there is no stream."""

    disabled: Literal[True]
    message: str
    suggestion: str


@document
class Split(TypedDict):
    """Sums over requests. Requests in flight count in `requests` alone."""

    requests: Count
    errors: Count
    input_tokens: Count
    output_tokens: Count
    cache_read_tokens: Count
    cache_creation_tokens: Count
    tool_uses: Count
    tool_results: Count
    tool_calls: Count
    average_duration_ms: Count
    """Of finished requests; 0 without."""
    total_duration_ms: Amount


@document
class Sides(TypedDict):
    """Streamed requests and the others; absent where there are none."""

    streaming: NotRequired[Split]
    non_streaming: NotRequired[Split]


@document
class ModelTotals(Sides):
    """One model of one provider."""

    last_accessed: str
    """When its newest request began (UTC)."""
    total: Split


@document
class Rollup(Sides):
    """All chosen models of one provider."""

    total: Split
    avg_duration_ms: Count
    """That of `total` once more: the dashboard looks for it here."""


@document
class ProviderTotals(TypedDict):
    """One provider."""

    last_accessed: str
    """When the newest request of any of its models began (UTC)."""
    rollup: Rollup
    models: dict[str, ModelTotals]


@document
class LastAccessed(TypedDict):
    """When the newest request began."""

    top: str
    """UTC."""


@document
class Summary(TypedDict):
    """Everything that was chosen. Requests in flight count in `total_requests` and `active_requests` alone."""

    last_accessed: LastAccessed | None
    """Whatever was chosen; null before the first request."""
    total_requests: Count
    total_errors: Count
    total_input_tokens: Count
    total_output_tokens: Count
    total_cache_read_tokens: Count
    total_cache_creation_tokens: Count
    total_tool_uses: Count
    total_tool_results: Count
    total_tool_calls: Count
    active_requests: Count
    """Requests in flight, whatever was chosen."""
    average_duration_ms: Count
    """Of finished requests; 0 without."""
    total_duration_ms: Count
    cache_read_tokens: Count
    """`total_cache_read_tokens` once more: the dashboard looks for it here."""
    cache_creation_tokens: Count
    streaming_average_duration_ms: Count
    non_streaming_average_duration_ms: Count


@document
class RunningTotals(TypedDict):
    """Sums since the start, by provider and model."""

    summary: Summary
    providers: dict[str, ProviderTotals]


RunningTotalsDisabled = TypedDict(
    "RunningTotalsDisabled", {"# Message": str, "# Suggestion": str, "_metrics_enabled": Literal[False]}
)
"""Nothing is recorded."""
with_config(ConfigDict(extra="forbid"))(RunningTotalsDisabled)


@document
class RunningTotalsFailure(TypedDict):
    """The report could not be made."""

    error: str
    status: Literal["failed"]


@document
class Failure(TypedDict):
    """An error."""

    detail: str


@document
class BadParameter(TypedDict):
    """What is wrong with a parameter."""

    type: str
    loc: list[str]
    """Where it stands: `query`, and its name."""
    msg: str
    input: Any
    """What was sent."""


@document
class BadParameters(TypedDict):
    """A parameter has a value that means nothing."""

    detail: list[BadParameter]
