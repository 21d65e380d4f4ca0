"""The documents of this room. Their keys, order and units are the contract's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Time, document

MESSAGE = "Request metrics logging is disabled"
SUGGESTION = "Set LOG_REQUEST_METRICS=true to enable tracking"
"""The original suggests `=false to disable tracking`, which it is already."""


@document
class ActiveRequest(TypedDict):
    """An inference request in flight. What is not known (yet) is 0."""

    request_id: str
    """Made by the sidecar; its log uses the same."""
    provider: str
    """Provider of the upstream, as configured."""
    model: str
    """The model that the client named, without a provider in front; else `resolved_model`; else `unknown`."""
    requested_model: str
    """The model that the client named; `unknown` where it named none."""
    resolved_model: str
    """The name under which the totals count it: the model that was chosen, where the client left the choice to the
    sidecar; else as the client named it; empty when neither is known."""
    qualified_model: str
    """`model` with a provider in front."""
    is_streaming: bool
    """Whether the client asked for a streamed answer."""
    start_time: float
    """Seconds since the epoch (UTC)."""
    duration_ms: Count
    """So far."""
    input_tokens: Count
    """0 until the server reports them."""
    output_tokens: Count
    """Streamed so far."""
    cache_read_tokens: Count
    """Input tokens that the prompt cache had; they are among `input_tokens`."""
    cache_creation_tokens: Count
    """Always 0: llama-server does not count them."""
    tool_uses: Count
    """Calls of tools in the conversation that was sent."""
    tool_results: Count
    """Results of tools in it."""
    tool_calls: Count
    """Calls of tools in the answer, so far."""
    request_size: Count
    """Bytes of the request's body."""
    message_count: Count
    """Messages of the conversation that was sent; 0 where the request has none."""


@document
class ActiveRequests(TypedDict):
    """Requests in flight, newest first."""

    disabled: Literal[False]
    active_requests: list[ActiveRequest]


@document
class ActiveRequestsDisabled(TypedDict):
    """Recording is off (`metrics.enabled`)."""

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
    """The data of a `disabled` event, and the answer when the stream is switched off."""

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
    """Of finished requests."""


@document
class Sides(TypedDict):
    """Streamed requests and the others; absent where there are none."""

    streaming: NotRequired[Split]
    non_streaming: NotRequired[Split]


@document
class ModelTotals(Sides):
    """One model of one provider."""

    last_accessed: Time
    """Start of its newest request."""
    total: Split


@document
class Rollup(Sides):
    """All chosen models of one provider."""

    total: Split
    avg_duration_ms: Count
    """`average_duration_ms` of `total` once more: the dashboard looks for it here."""


@document
class ProviderTotals(TypedDict):
    """One provider."""

    last_accessed: Time
    """Start of the newest request to any of its models, ignoring the filters."""
    rollup: Rollup
    models: dict[str, ModelTotals]


@document
class LastAccessed(TypedDict):
    """Start of the newest request."""

    top: Time
    """Only `summary.last_accessed` has this key; elsewhere `last_accessed` is the time itself."""


@document
class Summary(TypedDict):
    """Sums over everything that passes the filters. Requests in flight count in `total_requests` and `active_requests`
    only."""

    last_accessed: LastAccessed | None
    """Start of the newest request, ignoring the filters; null before the first request."""
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
    """Requests in flight, ignoring the filters."""
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
"""Recording is off (`metrics.enabled`)."""
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
    """Place of the parameter: `query`, and its name."""
    msg: str
    input: Any
    """What was sent."""


@document
class BadParameters(TypedDict):
    """A parameter has an invalid value."""

    detail: list[BadParameter]
