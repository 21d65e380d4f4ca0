"""The documents of `/api/metrics`, as its description shows them: units, bounds, and what can be absent."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document
from exporter.system.sampler import LONGEST_INTERVAL_SECONDS, SHORTEST_INTERVAL_SECONDS

Switch = Literal["1", "true", "yes", "on", "0", "false", "no", "off"]


@document
class Metrics(TypedDict):
    """The figures. A key of the GPU is absent where no GPU reports that figure."""

    cpuUsage: Percent
    """Busy share of all CPU time since the sample before; percent."""
    memoryUsage: Percent
    """Main memory that is not available; percent."""
    diskUsage: Percent
    """Of the file system `/`, or else of the largest one, as `df` counts it; percent."""
    activeModels: Count
    """Models that answer without being loaded first, sleeping ones included."""
    totalRequests: Count
    """Finished inference requests since the sidecar started, failed ones included."""
    avgResponseTime: Amount
    """Mean duration of these requests, to the last byte; milliseconds."""
    uptime: Count
    """Seconds since the sidecar started."""
    timestamp: Time
    """Time of the last sample of the machine."""
    gpuUsage: NotRequired[Percent]
    """Mean over the GPUs; percent."""
    gpuMemoryUsage: NotRequired[Percent]
    """Used share of the memory of all GPUs; percent."""
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
    timestamp: Time
    """Time of the answer."""


@document
class Busy(TypedDict):
    """Utilization, in percent."""

    usage: Percent


@document
class Taken(TypedDict):
    """Used share, in percent."""

    used: Percent


@document
class Network(TypedDict):
    """Throughput of all network interfaces together."""

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
    """Seconds between two samples of the machine and the llama-servers."""
    timestamp: Time


@document
class Failure(TypedDict):
    """An error."""

    error: str
    timestamp: Time


class NewInterval(BaseModel):
    """The new interval, until the sidecar is restarted."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"interval": 5}]},
    )

    interval: float = Field(ge=SHORTEST_INTERVAL_SECONDS, le=LONGEST_INTERVAL_SECONDS, allow_inf_nan=False)
    """Seconds between two samples of the machine and the llama-servers."""
