"""What the documents of this room look like: the description shows it."""

from __future__ import annotations

from exporter.api.system_metrics.documents import Failure, Interval, SystemMetrics

METRICS: SystemMetrics = {
    "metrics": {
        "cpuUsage": 12.5,
        "memoryUsage": 25.02,
        "diskUsage": 73.68,
        "activeModels": 3,
        "totalRequests": 5120,
        "avgResponseTime": 875.56,
        "uptime": 90061,
        "timestamp": "2026-11-20T08:32:28.250Z",
        "gpuUsage": 75.0,
        "gpuMemoryUsage": 60.0,
        "gpuMemoryTotal": 150000000000,
        "gpuMemoryUsed": 90000000000,
        "gpuPowerUsage": 350.5,
        "gpuPowerLimit": 700.0,
        "gpuTemperature": 55.0,
        "gpuName": "NVIDIA H200 x2",
    },
    "timestamp": "2026-11-20T08:32:30.000Z",
}
INTERVAL: Interval = {"interval": 5.0, "timestamp": "2026-11-20T08:32:30.000Z"}
BAD_SWITCH: Failure = {
    "error": "envelope must be one of 1, true, yes, on, 0, false, no, off, and given once",
    "timestamp": "2026-11-20T08:32:30.000Z",
}
BAD_INTERVAL: Failure = {
    "error": "interval must be at least 0.5 seconds; unknown key 'unit'",
    "timestamp": "2026-11-20T08:32:30.000Z",
}
TOO_LATE: Failure = {"error": "the rest of the body did not come in time", "timestamp": "2026-11-20T08:32:30.000Z"}
TOO_LONG: Failure = {"error": "the body is longer than 65536 bytes", "timestamp": "2026-11-20T08:32:30.000Z"}
