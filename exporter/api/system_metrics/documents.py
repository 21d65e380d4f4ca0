"""The documents of `/api/metrics`, as its description shows them: units, bounds, and what can be absent."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, document
from exporter.system.sampler import LONGEST_INTERVAL_SECONDS, SHORTEST_INTERVAL_SECONDS

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Switch = Literal["1", "true", "yes", "on", "0", "false", "no", "off"]


@document
class Metrics(TypedDict):
    """The figures. The keys of the GPU are absent where there is none that tells."""

    cpuUsage: Percent
    memoryUsage: Percent
    """Of the main memory, what is not available."""
    diskUsage: Percent
    """Of the file system `/`, or else of the largest one, as `df` counts it."""
    activeModels: Count
    """Models that answer without being loaded first."""
    totalRequests: Count
    """Finished requests that asked a model for something, since the sidecar started."""
    avgResponseTime: Amount
    """Their mean duration, to the last byte; milliseconds."""
    uptime: Count
    """Seconds since the sidecar started."""
    timestamp: Instant
    """When the machine was looked at."""
    gpuUsage: NotRequired[Percent]
    """Mean over the GPUs."""
    gpuMemoryUsage: NotRequired[Percent]
    gpuMemoryTotal: NotRequired[Count]
    """Bytes of all GPUs."""
    gpuMemoryUsed: NotRequired[Count]
    """Bytes of all GPUs."""
    gpuPowerUsage: NotRequired[Amount]
    """Watts of all GPUs."""
    gpuPowerLimit: NotRequired[Amount]
    """Watts of all GPUs."""
    gpuTemperature: NotRequired[Amount]
    """Of the hottest GPU; degrees Celsius."""
    gpuName: NotRequired[str]
    """Of the first GPU; with their number where there are several, `NAME x2`."""


@document
class SystemMetrics(TypedDict):
    """The answer."""

    metrics: Metrics
    timestamp: Instant
    """Now."""


@document
class Busy(TypedDict):
    """How busy something is."""

    usage: Percent


@document
class Taken(TypedDict):
    """How much of something is taken."""

    used: Percent


@document
class Network(TypedDict):
    """What all network interfaces carry."""

    rx: Amount
    """MB received per second."""
    tx: Amount
    """MB sent per second."""


@document
class Gpu(TypedDict, total=False):
    """All GPUs, as in `metrics`, but for the unit of memory."""

    usage: Percent
    memoryUsed: Amount
    """MiB."""
    memoryTotal: Amount
    """MiB."""
    powerUsage: Amount
    powerLimit: Amount
    temperature: Amount
    name: str


class NestedMetrics(TypedDict):
    """The figures as later front ends read them."""

    cpu: Busy
    memory: Taken
    disk: Taken
    network: Network
    gpu: NotRequired[Gpu]


@document
class Data(Metrics, NestedMetrics):
    """The figures under the keys of `metrics`, and under nested ones."""


@document
class EnvelopedMetrics(SystemMetrics):
    """The answer, with the envelope that front ends unwrap."""

    success: Literal[True]
    data: Data


@document
class Interval(TypedDict):
    """The interval that is in force."""

    interval: float
    """Seconds between two looks at the machine and the servers."""
    timestamp: Instant


@document
class Failure(TypedDict):
    """An error."""

    error: str
    timestamp: Instant


class NewInterval(BaseModel):
    """What to change the interval to, until the sidecar is restarted."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    interval: float = Field(ge=SHORTEST_INTERVAL_SECONDS, le=LONGEST_INTERVAL_SECONDS, allow_inf_nan=False)
    """Seconds between two looks at the machine and the servers."""
