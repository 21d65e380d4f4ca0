"""What the page asks for beside the contracts that it shows: units are in names, what is not known is null."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Time, document
from exporter.models.model import Status
from exporter.record import Complexity, Outcome
from exporter.system.snapshot import ServerState

Share = Annotated[float, Field(ge=0, le=1)]


@document
class Percentiles(TypedDict):
    """Of the requests of which the figure is known, to 2 %; null without any."""

    p50: Amount | None
    p95: Amount | None


@document
class Figures(TypedDict):
    """Requests that finished in the last 30 to 31 minutes."""

    requests: Count
    failed: Count
    duration_seconds: Percentiles
    """To the last byte."""
    ttft_seconds: Percentiles
    """Time to first token, of streamed ones."""
    output_tokens_per_second: Percentiles
    """Decode speed."""


class TierFigures(Figures):
    """Those of one tier."""

    name: str


@document
class Trend(TypedDict):
    """Requests that finished, in steps of equal length; the last one is over."""

    starts_at: Time
    """Of the first step."""
    step_seconds: Count
    requests: list[Count]
    """Of each step, oldest first."""


@document
class InFlight(TypedDict):
    """A request that is being answered, as far as `/metrics/active-requests` does not tell."""

    request_id: str
    """As there."""
    tier: str
    upstream: str | None
    """null until one was chosen."""
    ttft_seconds: Amount | None
    """null until the first token has come."""
    output_tokens_per_second: Amount | None
    """From the first token to the newest; null before the second."""


@document
class Upstream(TypedDict):
    """One llama-server."""

    name: str
    tiers: list[str]
    """Of its models."""
    up: bool | None
    """Whether it answers; null until it has been looked at."""
    state: ServerState | None
    since: Time | None
    """Since when it has been seen to be up, or not; null until it has been looked at."""
    reason: str | None
    """Why it is not ready."""
    sampled_at: Time | None
    """When it was looked at last, whatever was seen; null until then."""
    router: bool
    """Whether it has several models, and loads them on demand."""
    models: Count
    """That it lists."""
    models_loaded: Count
    """Of these, the ones that answer without being loaded first."""
    slots: Count | None
    """Requests that it can work on at once; null where it does not tell."""
    slots_busy: Count | None
    requests_deferred: Count | None
    """That wait inside it for a slot."""
    context_tokens: Count | None
    """Tokens that fit into all slots of its loaded models; null where it does not tell."""
    context_tokens_used: Count | None
    """Of these, in the slots that are working."""


@document
class Address(TypedDict):
    """Where a listener listens."""

    host: str
    port: Count
    keys: bool
    """Whether clients need a key there (`auth.proxy_api_keys`)."""


@document
class Now(TypedDict):
    """What is happening."""

    version: str
    """Of the sidecar."""
    instance: str
    timestamp: Time
    started_at: Time
    """When the sidecar was started."""
    sample_seconds: Amount
    """Between two samples of the machine and the llama-servers."""
    servers_sampled: bool
    """Whether llama-servers are looked at (`sampling.llama_server`)."""
    recording: bool
    """Whether requests are recorded at all (`metrics.enabled`)."""
    history: bool
    """Whether there is a store for finished requests (`store.url`)."""
    streams: bool
    """Whether there is a stream of the requests in flight (`live.active_requests_stream`)."""
    keys: bool
    """Whether keys are configured, so that people sign in."""
    proxy: Address
    """What clients talk to."""
    figures: Figures
    """Of all requests."""
    trend: Trend
    """Of all requests: 30 minutes, without the step that is not over."""
    tiers: list[TierFigures]
    """Each tier of `routing.tiers`, in order."""
    in_flight: Annotated[list[InFlight], Field(max_length=200)]
    """The newest first."""
    upstreams: list[Upstream]
    """As configured."""


@document
class Model(TypedDict):
    """One model."""

    name: str
    """What clients put into `model`."""
    status: Status
    upstream: str | None
    """The llama-server that has it, or would load it."""
    tier: str | None
    quantization: str | None
    size_bytes: Count | None
    context_size: Count | None
    """Tokens of a slot while it is loaded; else what it was registered or trained with."""
    slots: Count | None
    """Requests that it can work on at once; null while it is not loaded."""
    slots_busy: Count | None
    context_tokens: Count | None
    """Tokens that fit into all its slots."""
    context_tokens_used: Count | None
    """Of these, in the slots that are working."""
    progress: Share | None
    """While it is loading: how far it has come, where that is known."""
    stage: str | None
    """What of it is being loaded, in llama-server's words."""
    remaining_seconds: Amount | None
    """Of the load, going by its last one."""
    last_used_at: Time | None
    """When its last request ended; now while there is one."""
    error: str | None
    """Why its last load failed."""
    can_load: bool
    """Whether `POST /api/models/NAME/load` makes sense now."""
    can_unload: bool


@document
class ModelList(TypedDict):
    """Registered models and those that llama-servers have: what is loaded, or about to be, first; then by name."""

    timestamp: Time
    models: Annotated[list[Model], Field(max_length=500)]
    total: Count
    """All that there are."""
    loads_on: str | None
    """The llama-server that loads go to; null where none loads models on demand."""


@document
class Timeline(TypedDict):
    """Where the time of a request went."""

    overhead_seconds: Amount | None
    """In the sidecar, before llama-server had it."""
    queue_seconds: Amount | None
    """Waiting inside llama-server."""
    prefill_seconds: Amount | None
    """Evaluating the prompt, as llama-server timed it."""
    first_token_seconds: Amount | None
    """From the start of the request; null where the answer was not streamed."""
    last_token_seconds: Amount | None
    """The same."""
    decode_seconds: Amount | None
    """Generating, as llama-server timed it."""


@document
class FinishedRequest(TypedDict):
    """One finished request."""

    id: Count
    """Higher ones were stored later."""
    request_id: str
    finished_at: Time
    duration_seconds: Amount
    outcome: Outcome
    status_code: Count | None
    error_type: str | None
    finish_reason: str | None
    operation: str
    streamed: bool
    model: str | None
    requested_model: str | None
    tier: str
    upstream: str | None
    origin: str | None
    input_tokens: Count | None
    cached_tokens: Count | None
    """Of `input_tokens`, those from the prompt cache."""
    output_tokens: Count | None
    output_tokens_per_second: Amount | None
    """Decode speed."""
    attempts: Count
    """Upstreams that were tried."""
    complexity: Complexity | None
    wanted_tier: str | None
    """Where it belonged while all are well; null where nothing was decided."""
    fallback: bool | None
    trace_id: str | None
    """Of the trace that it is part of; null where it is part of none, or of one that is not sampled."""
    timeline: Timeline


@document
class FinishedRequests(TypedDict):
    """The newest first."""

    timestamp: Time
    requests: Annotated[list[FinishedRequest], Field(max_length=200)]
    searched: Count
    """The filter was applied to so many of this sidecar's newest requests, at most: older ones were not looked at."""


@document
class Failure(TypedDict):
    """An error."""

    error: str
