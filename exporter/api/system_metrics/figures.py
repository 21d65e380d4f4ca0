"""The shapes of `/api/metrics`: what is sampled and counted, in the keys and units of the contract."""

from __future__ import annotations

from typing import Any, cast

from exporter.api.documents import percent
from exporter.api.machine import DIGITS, gpu_figures, nested_gpu, network_rates, sampled_at, share, sums_of
from exporter.api.system_metrics.documents import (
    Data,
    EnvelopedMetrics,
    Gpu,
    Metrics,
    NestedMetrics,
    Network,
    SystemMetrics,
)
from exporter.api.views import Views
from exporter.system.snapshot import Snapshot
from exporter.system.summary import Summary, summarize
from exporter.utc import utc


def system_metrics(views: Views, snapshot: Snapshot) -> SystemMetrics:
    """What is known now. What is not known is 0; of the GPUs, absent."""
    summary, sums = summarize(snapshot), sums_of(views)
    metrics: Metrics = {
        "cpuUsage": percent(summary.cpu_utilization, DIGITS),
        "memoryUsage": percent(share(summary.memory_used_bytes, summary.memory_total_bytes), DIGITS),
        "diskUsage": percent(share(summary.disk_used_bytes, summary.disk_total_bytes), DIGITS),
        "activeModels": summary.models_loaded,
        "totalRequests": sums.requests,
        "avgResponseTime": round(sums.mean_seconds * 1000, DIGITS),
        "uptime": views.uptime_seconds,
        "timestamp": utc(sampled_at(views, snapshot)),
    }
    return {
        "metrics": cast(Metrics, {**metrics, **gpu_figures(summary, snapshot.gpus)}),
        "timestamp": utc(views.wall()),
    }


def in_envelope(document: SystemMetrics, snapshot: Snapshot) -> EnvelopedMetrics:
    """The same with `success`, and with `data` as all front ends that there were read it."""
    metrics = document["metrics"]
    return {
        **document,
        "success": True,
        "data": cast(Data, {**metrics, **nested_figures(metrics, summarize(snapshot))}),
    }


def nested_figures(metrics: Metrics, summary: Summary) -> NestedMetrics:
    """The figures under the keys of later front ends; `gpu` is absent without a GPU."""
    nested: NestedMetrics = {
        "cpu": {"usage": metrics["cpuUsage"]},
        "memory": {"used": metrics["memoryUsage"]},
        "disk": {"used": metrics["diskUsage"]},
        "network": cast(Network, network_rates(summary)),
    }
    if "gpuName" in metrics:
        nested["gpu"] = cast(Gpu, nested_gpu(cast(dict[str, Any], metrics)))
    return nested
