"""What the real system's published schema of the answer demands, rule by rule, and the form of times that its own tests
demand. Independent of the room: nothing is imported from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

REQUIRED = (
    "cpuUsage",
    "memoryUsage",
    "diskUsage",
    "activeModels",
    "totalRequests",
    "avgResponseTime",
    "uptime",
    "timestamp",
)
GPU = (
    "gpuUsage",
    "gpuMemoryUsage",
    "gpuMemoryTotal",
    "gpuMemoryUsed",
    "gpuPowerUsage",
    "gpuPowerLimit",
    "gpuTemperature",
    "gpuName",
)
LARGEST_INTEGER = 2**53 - 1
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def is_time(value: object) -> bool:
    if not isinstance(value, str) or not TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def is_percent(value: object) -> bool:
    return is_amount(value) and float(value) <= 100  # type: ignore[arg-type]


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_INTEGER


def is_text(value: object) -> bool:
    return isinstance(value, str)


RULES: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("cpuUsage", "memoryUsage", "diskUsage", "gpuUsage", "gpuMemoryUsage"), is_percent),
    **dict.fromkeys(("activeModels", "totalRequests"), is_count),
    # Numbers to the schema; whole ones by their unit.
    **dict.fromkeys(("uptime", "gpuMemoryTotal", "gpuMemoryUsed"), is_count),
    **dict.fromkeys(("avgResponseTime", "gpuPowerUsage", "gpuPowerLimit", "gpuTemperature"), is_amount),
    "timestamp": is_time,
    "gpuName": is_text,
}


def faults(document: Any) -> list[str]:
    """Everything for which strict clients refuse the document; the order of keys is that of the original."""
    if not isinstance(document, Mapping):
        return ["no object"]
    found = [f"unknown key {key}" for key in document if key not in ("metrics", "timestamp", "error")]
    if not is_time(document.get("timestamp")):
        found.append("timestamp")
    if "error" in document and not is_text(document["error"]):
        found.append("error")
    if list(document) not in (["metrics", "timestamp"], ["error", "timestamp"]):
        found.append("order of keys")
    return found + faults_of_metrics(document["metrics"]) if "metrics" in document else found


def faults_of_metrics(metrics: Any) -> list[str]:
    if not isinstance(metrics, Mapping):
        return ["metrics is no object"]
    found = [f"unknown key metrics.{key}" for key in metrics if key not in RULES]
    found += [f"metrics.{key} is missing" for key in REQUIRED if key not in metrics]
    found += [f"metrics.{key} = {metrics[key]!r}" for key in metrics if key in RULES and not RULES[key](metrics[key])]
    if list(metrics) != [key for key in (*REQUIRED, *GPU) if key in metrics]:
        found.append("order of keys in metrics")
    return found


NESTED_GPU = ("usage", "memoryUsed", "memoryTotal", "powerUsage", "powerLimit", "temperature")


def faults_of_envelope(document: Any) -> list[str]:
    """The same for an answer in the envelope: `data` is `metrics`, and what later front ends read."""
    if not isinstance(document, Mapping) or list(document) != ["metrics", "timestamp", "success", "data"]:
        return ["keys of the envelope"]
    plain = {key: document[key] for key in ("metrics", "timestamp")}
    found = faults(plain) + faults_of_nested(document["data"])
    if document["success"] is not True:
        found.append("success")
    if {key: document["data"].get(key) for key in document["metrics"]} != document["metrics"]:
        found.append("data is not metrics")
    return found


def faults_of_nested(data: Any) -> list[str]:
    nested = {key: value for key, value in data.items() if key not in RULES}
    gpu = nested.pop("gpu", None)
    found = []
    if {key: sorted(value) for key, value in nested.items()} != {
        "cpu": ["usage"],
        "memory": ["used"],
        "disk": ["used"],
        "network": ["rx", "tx"],
    }:
        return ["nested keys"]
    if not all(is_percent(nested[key][name]) for key, name in (("cpu", "usage"), ("memory", "used"), ("disk", "used"))):
        found.append("nested percentages")
    if not all(is_amount(rate) for rate in nested["network"].values()):
        found.append("network")
    if ("gpu" in data) != ("gpuName" in data) or ("gpu" in data and not is_gpu(gpu)):
        found.append("gpu")
    return found


def is_gpu(gpu: Any) -> bool:
    if not isinstance(gpu, Mapping) or not is_text(gpu.get("name")) or not {*gpu} <= {*NESTED_GPU, "name"}:
        return False
    return is_percent(gpu.get("usage", 0)) and all(is_amount(gpu[key]) for key in NESTED_GPU if key in gpu)
