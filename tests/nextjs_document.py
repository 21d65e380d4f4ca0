"""The answers of the model manager's contract, as its document shows them."""

from __future__ import annotations

from typing import Any

MODEL: dict[str, Any] = {
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
MODELS = {"count": 1, "models": [MODEL]}
REGISTERED = {
    "message": "Models registered successfully",
    "registered": 1,
    "models": [{"id": "mistral-7b", "name": "mistral-7b", "status": "registered"}],
}
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
REMOVED = {"message": "Model removed successfully", "modelId": "llama-2-7b-chat"}
LOADING = {
    "message": "Model loading initiated",
    "modelId": "llama-2-7b-chat",
    "status": "loading",
    "estimatedTime": 30,
}
UNLOADING = {"message": "Model unloading initiated", "modelId": "llama-2-7b-chat", "status": "unloading"}
CONFIG = {
    "app": {"name": "Next.js Llama Async Proxy", "version": "0.1.0", "port": 3000, "environment": "development"},
    "llama_server": {"host": "localhost", "port": 8080, "timeout": 30000, "path": "/usr/local/bin/llama-server"},
    "llama_config": {"n_ctx": 4096, "n_gpu_layers": 35, "temperature": 0.7, "top_p": 0.9, "max_tokens": 512},
    "model_paths": {"modelsDir": "./models", "defaultModel": None},
    "update_intervals": {"metrics": 10000, "models": 30000, "logs": 15000},
}
CONFIGURED = {
    "message": "Configuration updated successfully",
    "changes": {
        "llama_config.temperature": 0.8,
        "llama_config.max_tokens": 1024,
        "model_paths.modelsDir": "/new/models/path",
    },
    "requiresRestart": False,
}
MONITORING: dict[str, Any] = {
    "timestamp": "2024-01-15T10:00:00Z",
    "system": {
        "cpu": {"usage": 45.2, "cores": 8, "loadAverage": [1.2, 1.1, 1.0]},
        "memory": {"used": 10952, "total": 16384, "free": 5432, "usagePercent": 67.8},
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
HISTORY = {
    "period": {"start": "2024-01-14T10:00:00Z", "end": "2024-01-15T10:00:00Z", "resolution": "5m"},
    "metrics": [
        {
            "timestamp": "2024-01-15T09:55:00Z",
            "cpu": 42.3,
            "memory": 65.1,
            "gpu": 78.4,
            "requests": 12,
            "responseTime": 234,
        },
        {
            "timestamp": "2024-01-15T10:00:00Z",
            "cpu": 45.2,
            "memory": 67.8,
            "gpu": None,
            "requests": 15,
            "responseTime": 245,
        },
    ],
    "summary": {
        "avgCpu": 43.75,
        "maxCpu": 45.2,
        "avgMemory": 66.45,
        "maxMemory": 67.8,
        "totalRequests": 27,
        "avgResponseTime": 239.5,
    },
}
CATEGORIES = {
    "categories": [
        {"id": "model", "name": "Model Parameters", "description": "Parameters affecting model behavior", "count": 15},
        {"id": "system", "name": "System Parameters", "description": "System-level configuration", "count": 8},
        {
            "id": "performance",
            "name": "Performance Parameters",
            "description": "Performance and optimization settings",
            "count": 12,
        },
    ]
}
PARAMETERS = {
    "category": "model",
    "name": "Model Parameters",
    "parameters": {
        "temperature": {
            "value": 0.7,
            "default": 0.7,
            "min": 0.0,
            "max": 2.0,
            "type": "number",
            "step": 0.1,
            "description": "Controls randomness in generation.",
            "group": "sampling",
        },
        "max_tokens": {
            "value": 512,
            "default": 100,
            "min": 1,
            "max": 4096,
            "type": "integer",
            "description": "Maximum number of tokens to generate.",
            "group": "generation",
        },
    },
}
PARAMETER = {
    "parameter": "temperature",
    "category": "model",
    "value": 0.7,
    "default": 0.7,
    "metadata": {
        "type": "number",
        "min": 0.0,
        "max": 2.0,
        "description": "Controls randomness in generation",
    },
}
PARAMETERS_CHANGED = {
    "message": "Parameters updated successfully",
    "category": "model",
    "updated": ["temperature", "max_tokens", "top_p"],
    "requiresRestart": False,
}
HEALTH: dict[str, Any] = {
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
UPDATE = {"timestamp": "2024-01-15T10:00:00Z", "cpu": 45.2, "memory": 67.8, "gpu": 85.5, "requests": 15}


def error(status: int, code: str, message: str, details: object = None, **more: object) -> dict[str, Any]:
    return {
        "error": {
            "code": code,
            "message": message,
            "details": details,
            "timestamp": "2024-01-15T10:00:00Z",
            "requestId": "req_12345",
            **more,
        },
        "status": status,
    }
