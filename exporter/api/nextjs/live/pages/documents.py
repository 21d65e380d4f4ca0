"""What the manager's own pages read over `/llamaproxws`: figures under the keys of their earlier and of their later
versions, and only words and types that none of them breaks on."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from exporter.api.documents import percent
from exporter.api.machine import gpu_figures, known_percent, nested_gpu, rounded, sampled_at, share
from exporter.api.nextjs.live.documents import mebibytes, plain
from exporter.api.nextjs.live.pages.activity import Activity
from exporter.api.nextjs.live.sockets.packets import Text
from exporter.api.nextjs.models.shape import moment
from exporter.api.views import Views
from exporter.live.logbook import Line
from exporter.models.model import Model, Status
from exporter.models.server.managed import ManagedServer, ServerStatus
from exporter.system.snapshot import LlamaServerSnapshot, ServerState
from exporter.system.summary import summarize
from exporter.utc import utc

MB = 1e6
ID_BYTES = 6
"""Of the digest: what a number in JavaScript can hold."""
DIGITS = 2


def message(kind: str, data: Any, views: Views, **more: Any) -> dict[str, Any]:
    """The envelope; `timestamp` is in milliseconds."""
    return {"type": kind, **more, "data": data, "timestamp": milliseconds(views)}


def milliseconds(views: Views) -> int:
    """Now, UTC."""
    return int(views.wall() * 1000)


def metrics(views: Views) -> dict[str, Any]:
    """Percent, MiB of GPU memory, MB a second, W, degrees Celsius. What is not known is null, which charts leave out;
    of GPUs, absent, since earlier pages break on null there."""
    snapshot = views.snapshot()
    summary, sums = summarize(snapshot), views.totals.whole() if views.recording else None
    cpu = known_percent(summary.cpu_utilization)
    memory = known_percent(share(summary.memory_used_bytes, summary.memory_total_bytes))
    disk = known_percent(share(summary.disk_used_bytes, summary.disk_total_bytes))
    gpu = gpu_figures(summary, snapshot.gpus)
    memory_keys = [key for key in ("gpuMemoryUsed", "gpuMemoryTotal") if key in gpu]
    nested = nested_gpu(gpu)
    return {
        "cpuUsage": cpu,
        "memoryUsage": memory,
        "diskUsage": disk,
        "activeModels": summary.models_loaded,
        "totalRequests": sums.requests if sums else None,
        "avgResponseTime": round(sums.mean_seconds * 1000, DIGITS) if sums else None,
        "uptime": views.uptime_seconds,
        "timestamp": utc(sampled_at(views, snapshot)),
        **gpu,
        **{key: mebibytes(gpu[key]) for key in memory_keys},
        "cpu": {"usage": cpu},
        "memory": {"used": memory},
        "disk": {"used": disk},
        "network": {
            "rx": _rate(summary.network_receive_bytes_per_second),
            "tx": _rate(summary.network_transmit_bytes_per_second),
        },
        **({"gpu": nested} if nested else {}),
    }


def model_id(name: str) -> str:
    """A model's number. The pages make numbers of ids, and these are the same after a restart."""
    return str(int.from_bytes(sha256(name.encode("utf-8", "replace")).digest()[:ID_BYTES]) + 1)


def model(found: Model, activity: Activity) -> dict[str, Any]:
    """One model. What is not known is absent."""
    registered = found.registered
    document = {
        "id": model_id(found.name),
        "name": found.name,
        "type": _type(found),
        "status": status(found.status),
        "size": found.size_bytes,
        "createdAt": moment(registered.created_at if registered else found.loaded_at),
        "updatedAt": moment((registered.updated_at or registered.created_at) if registered else found.loaded_at),
        "path": registered.path if registered else None,
        "progress": percent(found.progress) if found.status is Status.LOADING and found.progress is not None else None,
        "parameters": _parameters(found),
        "memoryUsed": _memory(found),
        "tokensPerSec": rounded(activity.tokens_per_second(found)),
        "activeRequests": activity.requests(found),
        "error": found.error if found.status is Status.ERROR else None,
    }
    return _known(**document)


def status(word: Status) -> str:
    """One of the five words that the pages know."""
    return Status.STOPPED.value if word is Status.UNLOADING else word.value


def log_entry(line: Line) -> dict[str, Any]:
    """One line."""
    return {
        "id": f"log_{line.number}",
        "level": line.level,
        "message": line.message,
        "timestamp": utc(line.wall),
        "source": line.source,
        "context": {**plain(line.fields), "source": line.source},
    }


def llama_status(views: Views, server: ManagedServer | None, models: Text) -> dict[str, Any]:
    """Of the managed llama-server; where there is none, of those that are watched. `models` is their list."""
    started = server.started_at if server else None
    return {
        "status": server.status.value if server else _watched(views.snapshot().servers),
        "models": models,
        "lastError": server.last_error if server else None,
        "retries": server.restarts if server else 0,
        "uptime": 0 if started is None else max(int(views.wall() - started), 0),
        "startedAt": moment(started),
    }


def _watched(servers: Mapping[str, LlamaServerSnapshot]) -> str:
    if not servers:
        return ServerStatus.INITIAL.value
    if any(each.up for each in servers.values()):
        return ServerStatus.READY.value
    if any(each.state is ServerState.LOADING for each in servers.values()):
        return ServerStatus.STARTING.value
    return "error"


def _parameters(found: Model) -> dict[str, Any]:
    figures = {"file_size_bytes": found.size_bytes, "quantization_type": found.quantization}
    return _known(**figures)


def _type(found: Model) -> str:
    family = found.registered.family if found.registered else None
    return family or "other"


def _memory(found: Model) -> str | None:
    size = mebibytes(found.memory_bytes)
    return None if size is None else f"{size:.0f} MB"


def _rate(bytes_per_second: float | None) -> float | None:
    return None if bytes_per_second is None else round(bytes_per_second / MB, 3)


def _known(**figures: Any) -> dict[str, Any]:
    return {key: figure for key, figure in figures.items() if figure is not None}
