"""What the contract's answers hold, as /openapi.json shows it: the documents that its API guide describes, and
errors. `status_documents` has the others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document
from exporter.record import Complexity

Share = Annotated[float, Field(ge=0, le=1)]


@document
class Error(TypedDict):
    """An error."""

    error: str
    """Kind of error, by the status: `NotFound`, `BadRequest`, ..."""
    message: str
    details: dict[str, str]
    """By field of the request body, what is wrong with it; empty where no field is concerned."""


@document
class Queries(TypedDict):
    """Requests of the last 3 minutes in steps of 10 s, and what finished in the last 30 minutes."""

    timestamps: Annotated[list[Time], Field(min_length=18, max_length=18)]
    """Beginnings of the steps, oldest first; the last step is complete."""
    queryRate: Annotated[list[Amount], Field(min_length=18, max_length=18)]
    """Requests per second that finished in each step."""
    totalQueries: Count
    """In the last 30 minutes, including those of tiers that are not in `routing.tiers`."""
    avgLatencyMs: Amount
    """In the last 30 minutes; milliseconds, 0 without requests."""
    tierDistribution: dict[str, Count]
    """Requests of the last 30 minutes by tier of `routing.tiers`."""


@document
class Tier(TypedDict):
    """Speed, latency and errors of one tier."""

    name: str
    tokensPerSec: Annotated[list[Amount], Field(max_length=20)]
    """Tokens per second of its last 20 requests whose speed is known, oldest first."""
    latencyMs: Annotated[list[Amount], Field(max_length=20)]
    """Duration of its last 20 requests, oldest first; milliseconds."""
    requestCount: Count
    """Since the start."""
    errorRate: Share
    """Share of failed requests since the start, 0 to 1."""


@document
class Tiers(TypedDict):
    """Speed, latency and errors of each tier."""

    tiers: list[Tier]
    """Each tier of `routing.tiers`, from cheap to capable."""


@document
class Memory(TypedDict):
    """Memory of one kind."""

    used: Amount
    """GiB."""
    total: Amount
    """GiB; 0 where there is none, or where it is not known."""
    percent: Percent
    """Used share, 0 to 100."""


@document
class Cpu(TypedDict):
    """Processors of the machine."""

    percent: Percent
    """Busy share of all CPU time since the sample before, 0 to 100."""
    cores: Count
    """Logical CPUs; 0 before the first sample."""


@document
class ThreadPool(TypedDict):
    """Load of the llama-servers."""

    active: Count
    """Slots that are working."""
    queued: Count
    """Requests that wait for a slot, as llama-servers report them (`requests_deferred`)."""


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
    """All GPUs together that report used and total memory."""
    cpu: Cpu
    memory: Memory
    faissIndexSize: Count
    """Bytes of the files of `sampling.index_paths`; 0 without any, and until all of them could be read."""
    redisCacheSize: Count
    """Bytes that the Redis of `sampling.redis_url` uses; 0 without one."""
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
    """Mean complexity score; 0 without scores."""


@document
class Accuracy(TypedDict):
    """Totals of the routing decisions."""

    totalDecisions: Count
    """Since the start."""
    avgDecisionTimeMs: Amount
    """Of the last 100 decisions; milliseconds."""
    fallbackRate: Share
    """Share of decisions since the start that fell back to another tier or upstream, 0 to 1."""


@document
class TierAvailability(TypedDict):
    """Models of one tier."""

    tier: str
    available: Count
    """Those that can answer now; never more than `total`."""
    total: Count


@document
class Routing(TypedDict):
    """Routing decisions, and the models that can answer."""

    decisionMatrix: list[DecisionCell]
    """Each complexity with each tier of `routing.tiers`, in order; empty cells included."""
    accuracyMetrics: Accuracy
    modelAvailability: list[TierAvailability]
    """Each tier of `routing.tiers`."""


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
    """The answer to a recording."""

    recorded: bool
    """false: recording is off (`metrics.enabled`)."""
