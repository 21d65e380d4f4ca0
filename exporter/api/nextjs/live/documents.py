"""What the namespaces `/metrics`, `/models` and `/logs` say, as the contract writes it, and how it is made of what is
known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from exporter.api.documents import percent
from exporter.api.machine import requests_last_minute, sampled_at, share
from exporter.api.nextjs.models.shape import moment
from exporter.api.views import Views
from exporter.live.logbook import Line
from exporter.models.model import Model
from exporter.system.summary import summarize
from exporter.utc import utc

MIB = 1 << 20


class MetricsUpdate(TypedDict):
    """`metrics:update`"""

    timestamp: str
    """When the machine was looked at."""
    cpu: float | None
    """Percent, as the two that follow; null where that is not known, as with all that can be null here."""
    memory: float | None
    gpu: NotRequired[float]
    """Absent without a GPU."""
    requests: int | None
    """That have ended in the last minute; null where they are not recorded."""


class ModelUpdate(TypedDict):
    """A model in `models` of `models:update`."""

    id: str
    status: str
    memoryUsage: float | None
    """MiB while it is loaded."""
    lastActivity: str | None


class ModelLoading(TypedDict):
    """`model:loading`"""

    modelId: str
    progress: float
    """Percent."""
    stage: str
    estimatedTimeRemaining: float | None
    """Seconds; null until the sidecar has seen it load once."""


class ModelLoaded(TypedDict):
    """`model:loaded`"""

    modelId: str
    loadTime: float | None
    """Seconds."""
    memoryUsage: float | None
    """MiB."""


class LogEntry(TypedDict):
    """A line in `logs:update`."""

    id: str
    timestamp: str
    level: str
    source: str
    message: str
    metadata: dict[str, Any]


class LogsUpdate(TypedDict):
    """`logs:update`"""

    logs: list[LogEntry]
    """Oldest first."""


def metrics_update(views: Views) -> MetricsUpdate:
    """The machine, and what was asked of it."""
    snapshot = views.snapshot()
    summary = summarize(snapshot)
    memory = share(summary.memory_used_bytes, summary.memory_total_bytes)
    update: MetricsUpdate = {
        "timestamp": utc(sampled_at(views, snapshot)),
        "cpu": None if summary.cpu_utilization is None else percent(summary.cpu_utilization),
        "memory": None if memory is None else percent(memory),
        "requests": requests_last_minute(views) if views.recording else None,
    }
    if summary.gpu_utilization is not None:
        update["gpu"] = percent(summary.gpu_utilization)
    return update


def model_update(model: Model) -> ModelUpdate:
    """One model."""
    return {
        "id": model.name,
        "status": model.status.value,
        "memoryUsage": mebibytes(model.memory_bytes),
        "lastActivity": moment(model.last_used_at),
    }


def model_loading(name: str, model: Model | None) -> ModelLoading:
    """How far it is."""
    remaining = model.remaining_seconds if model else None
    return {
        "modelId": name,
        "progress": percent(model.progress if model else None),
        "stage": (model.stage if model else None) or "loading",
        "estimatedTimeRemaining": None if remaining is None else round(remaining, 1),
    }


def model_loaded(name: str, model: Model | None) -> ModelLoaded:
    """How long it took."""
    seconds = model.load_seconds if model else None
    return {
        "modelId": name,
        "loadTime": None if seconds is None else round(seconds, 1),
        "memoryUsage": mebibytes(model.memory_bytes if model else None),
    }


def logs_update(lines: Sequence[Line]) -> LogsUpdate:
    """Lines, oldest first."""
    return {"logs": [log_entry(line) for line in lines]}


def log_entry(line: Line) -> LogEntry:
    """One line."""
    return {
        "id": f"log_{line.number}",
        "timestamp": utc(line.wall),
        "level": line.level,
        "source": line.source,
        "message": line.message,
        "metadata": plain(line.fields),
    }


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What stood beside a line, as JSON can hold it."""
    return {str(name): _plain(value) for name, value in fields.items()}


def mebibytes(size_bytes: int | None) -> float | None:
    """Rounded; None where unknown."""
    return None if size_bytes is None else round(size_bytes / MIB, 2)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, str | int) else str(value)
