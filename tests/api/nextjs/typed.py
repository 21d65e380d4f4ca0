"""Whether a document has the keys of the contract's examples, each with a value of the same type: a strict reader that
knows nothing of the package. What is not known may be null."""

from __future__ import annotations

from typing import Any


def differences(example: Any, document: Any, at: str = "") -> list[str]:
    """Where the document is not like the example. More keys are no difference."""
    if document is None:
        return []
    if isinstance(example, dict):
        if not isinstance(document, dict):
            return [f"{at or 'it'} is no object"]
        missing = [f"{at}.{key} is missing" for key in example if key not in document]
        inner = [differences(example[key], document[key], f"{at}.{key}") for key in example if key in document]
        return missing + [each for part in inner for each in part]
    if isinstance(example, list):
        if not isinstance(document, list):
            return [f"{at} is no array"]
        return [
            each
            for number, part in enumerate(document)
            for each in (differences(example[0], part, f"{at}[{number}]") if example else ())
        ]
    return [] if _kind(example) == _kind(document) or example is None else [f"{at} is {document!r}"]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) else type(value).__name__


MODEL = {
    "id": "llama-2-7b-chat",
    "name": "llama-2-7b-chat",
    "description": "Chat model for Llama 2",
    "status": "running",
    "version": "2.0",
    "path": "/path/to/model.gguf",
    "size": 3758096384,
    "family": "llama",
    "contextSize": 4096,
    "loadedAt": "2024-01-15T10:00:00Z",
    "lastUsed": "2024-01-15T10:30:00Z",
}
MODELS = {"count": 3, "models": [MODEL]}
DISCOVERED = {
    "discovered": [
        {
            "name": "llama-3-8b-instruct",
            "description": "Llama 3 Base model",
            "version": "3.0",
            "path": "/path/to/models/llama-3-8b-instruct.gguf",
            "family": "llama",
            "size": 8540000000,
            "format": "gguf",
            "quantization": "Q4_K_M",
            "contextSize": 8192,
        }
    ],
    "scannedPaths": ["/path/to/models", "/another/path"],
    "totalFound": 1,
    "errors": [],
}
CONFIG = {
    "app": {"name": "Next.js Llama Async Proxy", "version": "0.1.0", "port": 3000, "environment": "development"},
    "llama_server": {"host": "localhost", "port": 8080, "timeout": 30000, "path": "/usr/local/bin/llama-server"},
    "llama_config": {"n_ctx": 4096, "n_gpu_layers": 35, "temperature": 0.7, "top_p": 0.9, "max_tokens": 512},
    "model_paths": {"modelsDir": "./models", "defaultModel": None},
    "update_intervals": {"metrics": 10000, "models": 30000, "logs": 15000},
}
MONITORING = {
    "timestamp": "2024-01-15T10:00:00Z",
    "system": {
        "cpu": {"usage": 45.2, "cores": 8, "loadAverage": [1.2, 1.1, 1.0]},
        "memory": {"used": 67.8, "total": 16384, "free": 5432, "usagePercent": 67.8},
        "disk": {"used": 234567890, "total": 500000000, "free": 265432110, "usagePercent": 46.9},
    },
    "gpu": [
        {
            "id": 0,
            "name": "NVIDIA GeForce RTX 3080",
            "memory": {"used": 4096, "total": 10240, "free": 6144, "usagePercent": 40.0},
            "utilization": 85.5,
            "temperature": 72,
        }
    ],
    "models": {"active": 1, "total": 3, "memoryUsage": 4096},
    "requests": {"total": 1234, "active": 2, "averageResponseTime": 245},
    "uptime": 3600,
}
POINT = {
    "timestamp": "2024-01-15T09:55:00Z",
    "cpu": 42.3,
    "memory": 65.1,
    "gpu": 78.4,
    "requests": 12,
    "responseTime": 234,
}
HISTORY = {
    "period": {"start": "2024-01-14T10:00:00Z", "end": "2024-01-15T10:00:00Z", "resolution": "5m"},
    "metrics": [POINT],
    "summary": {
        "avgCpu": 43.75,
        "maxCpu": 45.2,
        "avgMemory": 66.45,
        "maxMemory": 67.8,
        "totalRequests": 27,
        "avgResponseTime": 239.5,
    },
}
HEALTH = {
    "status": "healthy",
    "timestamp": "2024-01-15T10:00:00Z",
    "services": {
        "proxy": {"status": "healthy", "uptime": 3600, "version": "0.1.0"},
        "llama_server": {
            "status": "healthy",
            "host": "localhost",
            "port": 8080,
            "models_loaded": 1,
            "last_health_check": "2024-01-15T09:59:45Z",
        },
        "database": {"status": "healthy", "connections": 5, "response_time": 12},
    },
    "system": {"cpu_usage": 45.2, "memory_usage": 67.8, "disk_usage": 46.9},
}
STATUS = {
    "application": {
        "name": "Next.js Llama Async Proxy",
        "version": "0.1.0",
        "environment": "development",
        "uptime": 3600,
        "start_time": "2024-01-15T09:00:00Z",
    },
    "server": {"port": 3000, "host": "0.0.0.0", "ssl": False, "cors_enabled": True},
    "websocket": {"connected_clients": 3, "active_connections": 2, "messages_per_second": 15.2},
    "models": {"registered": 5, "loaded": 1, "loading": 0, "failed": 0},
    "performance": {
        "requests_total": 1234,
        "requests_active": 2,
        "average_response_time": 245,
        "error_rate": 0.01,
    },
}
CATEGORIES = {
    "categories": [
        {"id": "model", "name": "Model Parameters", "description": "Parameters affecting model behavior", "count": 15}
    ]
}
PARAMETER = {
    "value": 0.7,
    "default": 0.7,
    "min": 0.0,
    "max": 2.0,
    "type": "number",
    "description": "Controls randomness in generation. Higher values make output more random.",
    "group": "sampling",
}
CATEGORY = {
    "category": "model",
    "name": "Model Parameters",
    "parameters": {"temperature": {**PARAMETER, "step": 0.1}, "max_tokens": PARAMETER, "top_p": PARAMETER},
}
ONE_PARAMETER = {
    "parameter": "temperature",
    "category": "model",
    "value": 0.7,
    "default": 0.7,
    "metadata": {"type": "number", "min": 0.0, "max": 2.0, "description": "Controls randomness in generation"},
}
