"""Whether a document has the keys of the contract's examples, each with a value of the same type: a strict reader that
knows nothing of the package. What is not known may be null."""

from __future__ import annotations

from typing import Any

from tests.nextjs_document import CONFIG, DISCOVERED, HEALTH, MODEL, STATUS

__all__ = ["CONFIG", "DISCOVERED", "HEALTH", "MODEL", "STATUS"]


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


MODELS = {"count": 3, "models": [MODEL]}
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
