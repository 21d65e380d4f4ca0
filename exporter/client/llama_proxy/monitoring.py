"""`client.monitoring`: the machine, the models and the traffic, now and before; and whether all is well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from exporter.client.llama_proxy.documents import Document, read
from exporter.client.llama_proxy.exchange import Exchange
from exporter.client.llama_proxy.health import Health, Status


@dataclass(frozen=True, slots=True)
class Cpu(Document):
    """Processors."""

    usage: float | None
    """Per cent."""
    cores: int | None
    load_average: tuple[float, ...]
    """Over 1, 5 and 15 minutes."""


@dataclass(frozen=True, slots=True)
class Space(Document):
    """Memory or disk; the unit is that of the sidecar's page: MB for memory, bytes for disks."""

    used: float | None
    total: float | None
    free: float | None
    usage_percent: float | None


@dataclass(frozen=True, slots=True)
class Machine(Document):
    """What the sidecar runs on."""

    cpu: Cpu
    memory: Space
    disk: Space


@dataclass(frozen=True, slots=True)
class Gpu(Document):
    """One GPU."""

    id: int | None
    name: str | None
    memory: Space
    utilization: float | None
    """Per cent."""
    temperature: float | None
    """Degrees Celsius."""


@dataclass(frozen=True, slots=True)
class ModelCounts(Document):
    """Models and what they take."""

    active: int | None
    total: int | None
    memory_usage: float | None
    """MB."""


@dataclass(frozen=True, slots=True)
class RequestCounts(Document):
    """Traffic."""

    total: int | None
    active: int | None
    average_response_time: float | None
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Monitoring(Document):
    """The figures of now."""

    timestamp: datetime
    system: Machine
    gpu: tuple[Gpu, ...]
    """Empty without one."""
    models: ModelCounts
    requests: RequestCounts
    uptime: float | None
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Period(Document):
    """What a history covers."""

    start: datetime
    end: datetime
    resolution: str


@dataclass(frozen=True, slots=True)
class Point(Document):
    """A stretch of a history; None is what was not measured in it."""

    timestamp: datetime
    cpu: float | None
    memory: float | None
    gpu: float | None
    """Per cent, all three."""
    requests: int | None
    response_time: float | None
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Summary(Document):
    """A history in a few figures."""

    avg_cpu: float | None
    max_cpu: float | None
    avg_memory: float | None
    max_memory: float | None
    total_requests: int | None
    avg_response_time: float | None


@dataclass(frozen=True, slots=True)
class History(Document):
    """Figures over time, oldest first; iterable. Times without figures are left out."""

    period: Period
    metrics: tuple[Point, ...]
    summary: Summary

    def __iter__(self) -> Iterator[Point]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)


class Monitor:
    """Everything raises LlamaProxyError."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def current(self) -> Monitoring:
        """The figures of now."""
        return read(Monitoring, self._exchange.get("/monitoring"))

    def history(self, hours: float = 24, resolution: str = "5m") -> History:
        """The last 1 to 168 hours in steps of `1m`, `5m`, `15m` or `1h`. Raises ValidationError for anything else."""
        query = {"hours": f"{hours:.15g}", "resolution": resolution}
        return read(History, self._exchange.get("/monitoring/history", query))

    def health(self) -> Health:
        """Whether all is well. A sidecar that is not well answers too (with 503); that raises nothing."""
        return read(Health, self._exchange.get("/health", despite_503="services"))

    def status(self) -> Status:
        """The application, its connections and its traffic."""
        return read(Status, self._exchange.get("/status"))
