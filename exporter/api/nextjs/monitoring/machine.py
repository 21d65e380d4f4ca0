"""The machine now, in the contract's keys and units: pure shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.api import machine
from exporter.api.documents import percent
from exporter.api.machine import known_percent, sampled_at, sums_of
from exporter.api.nextjs.models.shape import READY
from exporter.api.nextjs.monitoring.documents import (
    Disk,
    Gpu,
    Latest,
    LatestModel,
    LatestSystem,
    Memory,
    ModelFigures,
    Monitoring,
    RequestFigures,
    System,
)
from exporter.api.nextjs.slices import array, splice
from exporter.api.views import Views
from exporter.models.model import LOADED, Model
from exporter.system.snapshot import GpuSnapshot, HostSnapshot, Snapshot
from exporter.system.summary import summarize
from exporter.utc import utc

MB = 1 << 20
GB = 1e9
DIGITS = machine.DIGITS


def share(part: float | None, whole: float | None) -> float | None:
    """Percent of a whole; None where one of both is not known."""
    return known_percent(machine.share(part, whole))


def monitoring(views: Views, snapshot: Snapshot, host: HostSnapshot, models: Sequence[Model]) -> Monitoring:
    """The machine, the models and the requests."""
    return {
        "timestamp": utc(sampled_at(views, snapshot)),
        "system": system(snapshot, host),
        "gpu": [gpu(each) for each in snapshot.gpus],
        "models": model_figures(models),
        "requests": request_figures(views),
        "uptime": views.uptime_seconds,
    }


def system(snapshot: Snapshot, host: HostSnapshot) -> System:
    """The machine."""
    found = summarize(snapshot)
    loads = (host.load_1m, host.load_5m, host.load_15m)
    return {
        "cpu": {
            "usage": known_percent(found.cpu_utilization),
            "cores": host.cpu_count,
            "loadAverage": [round(load, DIGITS) for load in loads if load is not None],
        },
        "memory": memory(found.memory_used_bytes, found.memory_total_bytes),
        "disk": disk(found.disk_used_bytes, found.disk_total_bytes),
    }


def memory(used: int | None, total: int | None) -> Memory:
    """In MB."""
    free = None if used is None or total is None else max(total - used, 0)
    return {"used": _mb(used), "total": _mb(total), "free": _mb(free), "usagePercent": share(used, total)}


def disk(used: int | None, total: int | None) -> Disk:
    """In bytes."""
    free = None if used is None or total is None else max(total - used, 0)
    return {"used": used, "total": total, "free": free, "usagePercent": share(used, total)}


def gpu(found: GpuSnapshot) -> Gpu:
    """One of them."""
    heat = found.temperature_celsius
    return {
        "id": found.index,
        "name": found.name,
        "memory": memory(found.memory_used_bytes, found.memory_total_bytes),
        "utilization": known_percent(found.utilization),
        "temperature": None if heat is None else max(heat, 0.0),
    }


def model_figures(models: Sequence[Model]) -> ModelFigures:
    """All models in few figures."""
    taken = sum(each.memory_bytes or 0 for each in models if each.status in LOADED)
    return {
        "active": sum(each.status in READY for each in models),
        "total": len(models),
        "memoryUsage": round(taken / MB, DIGITS),
    }


def request_figures(views: Views) -> RequestFigures:
    """Requests to models."""
    sums = sums_of(views)
    return {
        "total": sums.requests,
        "active": sum(1 for _ in views.active.asking()),
        "averageResponseTime": round(sums.mean_seconds * 1000, DIGITS),
    }


async def written_latest(views: Views, snapshot: Snapshot, host: HostSnapshot, models: Sequence[Model]) -> bytes:
    """The machine and each model, as JSON."""
    shown, requests = latest_system(views, snapshot, host), requests_by_model(views, snapshot, models)
    document: Latest = {
        "system": shown,
        "models": [],
        "success": True,
        "data": {"system": shown, "models": []},
        "timestamp": utc(sampled_at(views, snapshot)),
    }
    same = {"models": await array(models, lambda each: latest_model(each, requests))}
    data = splice(document["data"], same)
    return splice(document, {**same, "data": data})


def latest_system(views: Views, snapshot: Snapshot, host: HostSnapshot) -> LatestSystem:
    """The machine."""
    found = summarize(snapshot)
    return {
        "cpu": {"usage": percent(found.cpu_utilization, DIGITS)},
        "memory": {"used": _gb(found.memory_used_bytes)},
        "disk": {"used": _gb(found.disk_used_bytes)},
        "network": {
            "rx": sum(each.receive_bytes for each in host.networks),
            "tx": sum(each.transmit_bytes for each in host.networks),
        },
        "uptime": views.uptime_seconds,
    }


def requests_by_model(views: Views, snapshot: Snapshot, models: Sequence[Model]) -> Mapping[str, int]:
    """Since the start, by the name of the model in the list: over all upstreams, and all names that it has there."""
    found: dict[str, int] = {}
    owners = owners_of(snapshot, models)
    for place, course in views.history.models.items() if views.recording else ():
        name = owners.get(place, place[1])
        found[name] = found.get(name, 0) + course.queries
    return found


def owners_of(snapshot: Snapshot, models: Sequence[Model]) -> Mapping[tuple[str, str], str]:
    """Names of models in the list by upstream and name there: upstreams have aliases, and know nothing of names that
    were registered for their files."""
    listed = {each.name for each in models}
    files = {(each.upstream or "", each.file_name or ""): each.name for each in reversed(models) if each.file_name}
    found: dict[tuple[str, str], str] = {}
    for upstream, server in snapshot.servers.items():
        for model in server.models:
            names = [model.routed_name or model.id, model.id, *model.aliases]
            own = next((name for name in names if name in listed), files.get((upstream, model.file_name or "")))
            if own is not None:
                found.update({(upstream, name): own for name in names if name == own or name not in listed})
    return found


def latest_model(model: Model, requests: Mapping[str, int]) -> LatestModel:
    """One of them."""
    return {
        "id": model.name,
        "name": model.name,
        "status": model.status,
        "memory": _gb(model.memory_bytes if model.status in LOADED else 0),
        "requests": requests.get(model.name, 0),
    }


def _mb(count: int | None) -> float | None:
    return None if count is None else round(count / MB, DIGITS)


def _gb(count: int | None) -> float:
    return round((count or 0) / GB, DIGITS)
