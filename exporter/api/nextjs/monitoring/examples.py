"""What the documents of machine, health and status look like: the description shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from exporter.api.nextjs.monitoring.documents import History, Latest, LatestModel, LatestSystem, Monitoring
from exporter.api.nextjs.monitoring.health_documents import Health, LlamaServerHealth, Status
from exporter.models.model import Status as Doing
from exporter.models.server.managed import ServerStatus

Hours = Annotated[float, Field(ge=1, le=168)]
NOW = "2026-11-20T08:32:30.000Z"
BEFORE = "2026-11-20T08:30:00.000Z"
MONITORING: Monitoring = {
    "timestamp": NOW,
    "system": {
        "cpu": {"usage": 45.2, "cores": 8, "loadAverage": [1.2, 1.1, 1.0]},
        "memory": {"used": 11108.35, "total": 16384.0, "free": 5275.65, "usagePercent": 67.8},
        "disk": {"used": 234567890, "total": 500000000, "free": 265432110, "usagePercent": 46.91},
    },
    "gpu": [
        {
            "id": 0,
            "name": "NVIDIA GeForce RTX 3080",
            "memory": {"used": 4096.0, "total": 10240.0, "free": 6144.0, "usagePercent": 40.0},
            "utilization": 85.5,
            "temperature": 72.0,
        }
    ],
    "models": {"active": 1, "total": 3, "memoryUsage": 4096.0},
    "requests": {"total": 1234, "active": 2, "averageResponseTime": 245.0},
    "uptime": 3600,
}
_SYSTEM: LatestSystem = {
    "cpu": {"usage": 45.2},
    "memory": {"used": 11.65},
    "disk": {"used": 234.57},
    "network": {"rx": 123456789, "tx": 23456789},
    "uptime": 3600,
}
_MODELS: list[LatestModel] = [
    {"id": "tiny", "name": "tiny", "status": Doing.RUNNING, "memory": 4.29, "requests": 1234},
]
LATEST: Latest = {
    "system": _SYSTEM,
    "models": _MODELS,
    "success": True,
    "data": {"system": _SYSTEM, "models": _MODELS},
    "timestamp": NOW,
}
HISTORY: History = {
    "period": {"start": "2026-11-19T08:32:30.000Z", "end": NOW, "resolution": "5m"},
    "metrics": [{"timestamp": BEFORE, "cpu": 42.3, "memory": 65.1, "gpu": 78.4, "requests": 12, "responseTime": 234.0}],
    "summary": {
        "avgCpu": 42.3,
        "maxCpu": 42.3,
        "avgMemory": 65.1,
        "maxMemory": 65.1,
        "totalRequests": 12,
        "avgResponseTime": 234.0,
    },
    "success": True,
    "data": {
        "cpu": [{"time": BEFORE, "displayTime": "08:30", "value": 42.3}],
        "memory": [{"time": BEFORE, "displayTime": "08:30", "value": 65.1}],
        "requests": [{"time": BEFORE, "displayTime": "08:30", "value": 2.4}],
        "gpuUtil": [{"time": BEFORE, "displayTime": "08:30", "value": 78.4}],
        "power": [{"time": BEFORE, "displayTime": "08:30", "value": 220.5}],
    },
}
_SERVER: LlamaServerHealth = {
    "name": "llama-server",
    "status": "healthy",
    "host": "127.0.0.1",
    "port": 8080,
    "models_loaded": 1,
    "last_health_check": "2026-11-20T08:32:27.500Z",
    "managed": ServerStatus.READY,
    "restarts": 0,
    "last_error": None,
}
HEALTH: Health = {
    "status": "healthy",
    "timestamp": NOW,
    "services": {
        "proxy": {"status": "healthy", "uptime": 3600, "version": "1.2.3"},
        "llama_server": _SERVER,
        "llama_servers": [_SERVER],
        "database": {"status": "healthy", "connections": 5, "response_time": 1.25},
    },
    "system": {"cpu_usage": 45.2, "memory_usage": 67.8, "disk_usage": 46.91},
}
UNHEALTHY: Health = {
    **HEALTH,
    "status": "unhealthy",
    "services": {
        **HEALTH["services"],
        "database": {"status": "unhealthy", "connections": 5, "response_time": None},
    },
}
STATUS: Status = {
    "application": {
        "name": "llama-exporter",
        "version": "1.2.3",
        "environment": "production",
        "uptime": 3600,
        "start_time": "2026-11-20T07:32:30.000Z",
    },
    "server": {"port": 9464, "host": "127.0.0.1", "ssl": False, "cors_enabled": True},
    "websocket": {"connected_clients": 3, "active_connections": 4, "messages_per_second": 15.2},
    "models": {"registered": 5, "loaded": 1, "loading": 0, "failed": 0},
    "performance": {
        "requests_total": 1234,
        "requests_active": 2,
        "average_response_time": 245.0,
        "error_rate": 0.01,
    },
}
