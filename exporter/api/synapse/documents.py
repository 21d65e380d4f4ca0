"""What the contract's answers hold, as /openapi.json shows it: the documents that its guide describes, and errors.
`status_documents` has the others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, document
from exporter.record import Complexity

Share = Annotated[float, Field(ge=0, le=1)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$")]


@document
class Error(TypedDict):
    """Why a request was not answered."""

    error: str
    """Kind of error, by the status: `NotFound`, `BadRequest`, ..."""
    message: str
    details: dict[str, str]
    """By field of the request body, what is wrong with it; empty where it is not about fields."""


@document
class Queries(TypedDict):
    """Requests of the last 3 minutes in steps of 10 s, and what finished in the last 30 minutes."""

    timestamps: Annotated[list[Time], Field(min_length=18, max_length=18)]
    """Beginnings of the steps, oldest first; the last step is complete."""
    queryRate: Annotated[list[Amount], Field(min_length=18, max_length=18)]
    """Requests per second that finished in each step."""
    totalQueries: Count
    """In the last 30 minutes, those of tiers that are not configured included."""
    avgLatencyMs: Amount
    """In the last 30 minutes; 0 without requests."""
    tierDistribution: dict[str, Count]
    """Requests of the last 30 minutes by configured tier."""


@document
class Tier(TypedDict):
    """How one tier does."""

    name: str
    tokensPerSec: Annotated[list[Amount], Field(max_length=20)]
    """Decode speed of its last 20 requests whose speed is known, oldest first."""
    latencyMs: Annotated[list[Amount], Field(max_length=20)]
    """Duration of its last 20 requests, oldest first."""
    requestCount: Count
    """Since the start."""
    errorRate: Share
    """Since the start."""


@document
class Tiers(TypedDict):
    """How the tiers do."""

    tiers: list[Tier]
    """Each configured tier, from cheap to capable."""


@document
class Memory(TypedDict):
    """Memory of one kind."""

    used: Amount
    """GiB."""
    total: Amount
    """GiB; 0 where there is none, or nobody knows."""
    percent: Percent


@document
class Cpu(TypedDict):
    """Processors of the machine."""

    percent: Percent
    """Of all CPU time since the sample before."""
    cores: Count
    """Logical CPUs; 0 while nobody has looked."""


@document
class ThreadPool(TypedDict):
    """What llama-servers are busy with."""

    active: Count
    """Slots that work."""
    queued: Count
    """Requests that wait for a slot, as llama-servers say (`requests_deferred`)."""


@document
class DiskIO(TypedDict):
    """All disks together."""

    readMBps: Amount
    """MiB per second."""
    writeMBps: Amount
    """MiB per second."""


@document
class NetworkThroughput(TypedDict):
    """All network interfaces but loopback together."""

    rxMBps: Amount
    """MiB per second."""
    txMBps: Amount
    """MiB per second."""


@document
class Resources(TypedDict):
    """The machine, as it was sampled last."""

    vram: Memory
    """All GPUs together, as far as their memory is known."""
    cpu: Cpu
    memory: Memory
    faissIndexSize: Count
    """Bytes of the configured index files; 0 without any."""
    redisCacheSize: Count
    """Bytes that the configured Redis uses; 0 without one."""
    activeConnections: Count
    """Client connections that are open at the proxy, and live streams of the admin listener."""
    threadPoolStatus: ThreadPool
    diskIO: DiskIO
    networkThroughput: NetworkThroughput


@document
class DecisionCell(TypedDict):
    """Requests of one complexity that went to one tier."""

    complexity: Complexity
    tier: str
    count: Count
    """Since the start."""
    avgScore: Amount
    """0 without scores."""


@document
class Accuracy(TypedDict):
    """How deciding goes."""

    totalDecisions: Count
    """Since the start."""
    avgDecisionTimeMs: Amount
    """Of the last 100 decisions."""
    fallbackRate: Share
    """Decisions since the start that did not go where they should."""


@document
class TierAvailability(TypedDict):
    """Models of one tier."""

    tier: str
    available: Count
    """Those that can answer now; never more than `total`."""
    total: Count


@document
class Routing(TypedDict):
    """What routing has decided, and among whom it can choose."""

    decisionMatrix: list[DecisionCell]
    """Each complexity with each configured tier, in order; cells where nothing happened included."""
    accuracyMetrics: Accuracy
    modelAvailability: list[TierAvailability]
    """Each configured tier."""


@document
class MetricsUpdate(TypedDict):
    """One message of the WebSocket."""

    type: Literal["metrics_update"]
    timestamp: Time
    queries: Queries
    resources: Resources
    routing: Routing


@document
class Recorded(TypedDict):
    """What became of what an application has told."""

    recorded: bool
    """false: the sidecar was told to record nothing (`metrics.enabled`)."""
