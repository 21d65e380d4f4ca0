"""What the contract's answers hold, as /openapi.json shows it: the documents that its API guide does not describe, and
that its pages read all the same."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document
from exporter.api.synapse.documents import Share
from exporter.record import Complexity

State = Literal["active", "idle", "processing", "error", "offline"]


@document
class ModelStatus(TypedDict):
    """One model of one llama-server."""

    id: str
    """Name of the upstream; with `/` and the model's name where it has several."""
    name: str
    """As the llama-server lists it; the upstream's name while it lists no models."""
    tier: str
    port: Annotated[int, Field(ge=1, le=65535)]
    """Of the upstream."""
    state: State
    """`processing`: it is working, or being loaded. `active`: healthy, and has served requests. `idle`: healthy, and
    has not yet, or is sleeping. `offline`: unloaded, or the llama-server does not answer. `error`: it failed."""
    memoryUsed: Count
    """MiB: size of the model's tensors while it is loaded; 0 where that is not known."""
    memoryTotal: Annotated[int, Field(ge=1)]
    """MiB: memory of all GPUs together, else of the machine."""
    requestCount: Count
    """Requests through the sidecar since the start; the figures below are of the same requests."""
    avgResponseTime: Amount
    """Mean duration, in milliseconds."""
    lastActive: Time
    """End of its last request; before that, the start of the sidecar."""
    errorCount: Count
    uptimeSeconds: Count
    """Seconds since the sidecar was started; 0 for a model that is offline or failed."""


@document
class ModelMetrics(TypedDict):
    """The last requests of one model."""

    modelId: str
    """`id` of the model."""
    tokensPerSecond: Annotated[list[Amount], Field(max_length=20)]
    """Decode speed of its last 20 requests whose speed is known, oldest first."""
    currentTokensPerSecond: Amount
    """The newest of these."""
    memoryGb: Annotated[list[Amount], Field(max_length=1)]
    """GiB: the present value only, or none."""
    currentMemoryGb: Amount
    latencyMs: Annotated[list[Amount], Field(max_length=20)]
    """Duration of its last 20 requests, oldest first."""
    currentLatencyMs: Amount
    """The newest of these."""


@document
class ModelsStatus(TypedDict):
    """All models of all llama-servers."""

    models: list[ModelStatus]
    totalVramGb: Amount
    """GiB of all GPUs together."""
    totalVramUsedGb: Amount
    """GiB, as the GPUs report it."""
    cacheHitRate: Share
    """Share of all prompt tokens since the start that came from prompt caches, 0 to 1."""
    activeQueries: Count
    """Requests to models that are in flight."""
    totalRequests: Count
    """Requests to models since the start."""
    timestamp: Time
    metrics: list[ModelMetrics]
    """One for each of `models`, in the same order."""
    metricsTimestamp: Time


@document
class Historical(TypedDict):
    """Totals since the start, in twelve figures."""

    totalRequests: Count
    totalErrors: Count
    errorRate: Percent
    """Share of failed requests, 0 to 100."""
    avgLatencyMs: Amount
    p95LatencyMs: Amount
    """Of the last 30 minutes, as is `p99LatencyMs`, to 2 %."""
    p99LatencyMs: Amount
    uptimeDays: Count
    """Whole days of the uptime."""
    uptimeHours: Annotated[int, Field(ge=0, le=23)]
    """Whole hours of the uptime beyond `uptimeDays`."""
    uptimeSeconds: Count
    """The whole uptime in seconds, days and hours included."""
    totalCacheHits: Count
    """Prompt tokens that came from prompt caches."""
    totalCacheMisses: Count
    """Prompt tokens that had to be evaluated."""
    cacheHitRate: Percent
    """Share of hits, 0 to 100."""


@document
class ContextUtilization(TypedDict):
    """Utilization of the llama-servers' contexts."""

    percentage: Percent
    tokensUsed: Count
    """Tokens in the slots that are working."""
    tokensTotal: Count
    """Tokens that fit into all slots of loaded models; 0 where no llama-server reports it."""
    activeQueries: Count
    """Requests to models that are in flight."""


@document
class TierUtilization(TypedDict):
    """Utilization of one tier."""

    tier: str
    utilizationPercent: Annotated[int, Field(ge=0, le=100)]
    """Share of its slots that were working at the last sample, 0 to 100."""
    activeRequests: Count
    """Requests in flight now."""
    totalProcessed: Count
    """Requests since the start."""


@document
class RecentDecision(TypedDict):
    """One decision."""

    id: str
    query: str
    """Always empty: prompts are not kept."""
    tier: str
    complexity: Complexity
    timestamp: Time
    score: Amount


@document
class ComplexityDistribution(TypedDict):
    """Decisions since the start by complexity; percentages that add up to 100, or are all 0."""

    simple: Annotated[int, Field(ge=0, le=100)]
    moderate: Annotated[int, Field(ge=0, le=100)]
    complex: Annotated[int, Field(ge=0, le=100)]


@document
class OrchestratorStatus(TypedDict):
    """Utilization of the tiers, and the latest decisions."""

    tierUtilization: list[TierUtilization]
    """Each tier of `routing.tiers`."""
    recentDecisions: Annotated[list[RecentDecision], Field(max_length=10)]
    """The last ten, newest first."""
    complexityDistribution: ComplexityDistribution
    totalDecisions: Count
    avgDecisionTimeMs: Amount
    """Of the last 100 decisions; milliseconds."""
    timestamp: Time
