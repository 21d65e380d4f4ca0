"""What the contract says of the machine, now and in the past, as /openapi.json shows it. What is not known is null."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exporter.api.documents import Amount, Count, Percent, Time, document
from exporter.models.model import Status

Resolution = Literal["1m", "5m", "15m", "1h"]


@document
class Cpu(TypedDict):
    """Processors."""

    usage: Percent | None
    """Busy share of all CPU time since the sample before."""
    cores: Count
    """Logical CPUs."""
    loadAverage: Annotated[list[Amount], Field(max_length=3)]
    """Of 1, 5 and 15 minutes; empty where the system has none."""


@document
class Memory(TypedDict):
    """MB (1,048,576 bytes)."""

    used: Amount | None
    total: Amount | None
    free: Amount | None
    """Available."""
    usagePercent: Percent | None


@document
class Disk(TypedDict):
    """Bytes; of the file system `/`, or else of the largest one."""

    used: Count | None
    total: Count | None
    """What users can have, used or not, as `df` counts it."""
    free: Count | None
    usagePercent: Percent | None


@document
class System(TypedDict):
    """The machine, as sampled last."""

    cpu: Cpu
    memory: Memory
    disk: Disk


@document
class Gpu(TypedDict):
    """One GPU."""

    id: Count
    name: str
    memory: Memory
    utilization: Percent | None
    temperature: Amount | None
    """Degrees Celsius."""


@document
class ModelFigures(TypedDict):
    """The models."""

    active: Count
    """Loaded, sleeping ones included."""
    total: Count
    memoryUsage: Amount
    """MB that loaded ones take, as far as that is known."""


@document
class RequestFigures(TypedDict):
    """Requests to models since the start of the sidecar."""

    total: Count
    active: Count
    """In flight."""
    averageResponseTime: Amount
    """Milliseconds; 0 without requests."""


@document
class Monitoring(TypedDict):
    """The machine, the models, and the requests."""

    timestamp: Time
    """Of the last sample of the machine."""
    system: System
    gpu: list[Gpu]
    models: ModelFigures
    requests: RequestFigures
    uptime: Count
    """Seconds since the sidecar was started."""


@document
class Busy(TypedDict):
    """Percent."""

    usage: Percent


@document
class UsedGb(TypedDict):
    """GB (1,000,000,000 bytes)."""

    used: Amount


@document
class Transferred(TypedDict):
    """Bytes since the machine was started, over all interfaces together."""

    rx: Count
    tx: Count


@document
class LatestSystem(TypedDict):
    """The machine in the units of the front end that reads it. What is not known is 0: it would crash."""

    cpu: Busy
    memory: UsedGb
    disk: UsedGb
    network: Transferred
    uptime: Count
    """Seconds since the sidecar was started."""


@document
class LatestModel(TypedDict):
    """One model."""

    id: str
    name: str
    status: Status
    memory: Amount
    """GB; 0 while it is not loaded, or where that is not known."""
    requests: Count
    """Through the sidecar since its start."""


@document
class LatestData(TypedDict):
    """The same once more."""

    system: LatestSystem
    models: list[LatestModel]


@document
class Latest(TypedDict):
    """The machine and each model."""

    system: LatestSystem
    models: list[LatestModel]
    success: Literal[True]
    data: LatestData
    timestamp: Time


@document
class Span(TypedDict):
    """What was asked for."""

    start: Time
    end: Time
    resolution: Resolution


@document
class HistoryPoint(TypedDict):
    """One step. Steps of which nothing is known are left out."""

    timestamp: Time
    """Its beginning."""
    cpu: Percent | None
    memory: Percent | None
    gpu: NotRequired[Percent]
    """Absent without a GPU."""
    requests: Count
    """That finished within it."""
    responseTime: Amount | None
    """Their mean duration in milliseconds; null without any."""


@document
class HistorySummary(TypedDict):
    """Over the steps; null where none of them has the figure."""

    avgCpu: Percent | None
    maxCpu: Percent | None
    avgMemory: Percent | None
    maxMemory: Percent | None
    totalRequests: Count
    avgResponseTime: Amount | None
    """Mean of the steps that have one, in milliseconds."""


@document
class ChartPoint(TypedDict):
    """One point of a chart."""

    time: Time
    displayTime: str
    """Hours and minutes, UTC."""
    value: Amount | None
    """null, which is drawn as a gap, where it is not known."""


@document
class Charts(TypedDict):
    """The newest 59 steps and the present, for the charts of front ends: all with the same times, but one that never
    has a figure is empty."""

    cpu: list[ChartPoint]
    """Percent, as are memory and gpuUtil."""
    memory: list[ChartPoint]
    requests: list[ChartPoint]
    """Per minute; at the end, those that ended in the last one."""
    gpuUtil: list[ChartPoint]
    power: list[ChartPoint]
    """Watts of all GPUs."""


@document
class History(TypedDict):
    """Steps of a period, oldest first."""

    period: Span
    metrics: list[HistoryPoint]
    summary: HistorySummary
    success: Literal[True]
    data: Charts
