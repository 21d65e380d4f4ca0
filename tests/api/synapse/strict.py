"""Strict readers of the contract's documents, written from what its clients need: each key, its place, its type, its
bounds. They know nothing of the package."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
LEVELS = ("SIMPLE", "MODERATE", "COMPLEX")
STATES = ("active", "idle", "processing", "error", "offline")
TIERS = ("Q2", "Q3", "Q4")

Check = Callable[[Any], None]


def read(text: str | bytes) -> Any:
    """JSON as a browser reads it: no NaN, no Infinity."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def whole(value: Any, most: float = math.inf) -> None:
    assert type(value) is int, value
    assert 0 <= value <= most, value


def number(value: Any, most: float = math.inf) -> None:
    assert type(value) is float, value
    assert math.isfinite(value), value
    assert 0 <= value <= most, value


def text(value: Any) -> None:
    assert type(value) is str
    assert value


def moment(value: Any) -> None:
    assert type(value) is str
    assert TIME.fullmatch(value), value


def share(value: Any) -> None:
    number(value, 1)


def percent(value: Any) -> None:
    number(value, 100)


def whole_percent(value: Any) -> None:
    whole(value, 100)


def one_of(*values: str) -> Check:
    def check(value: Any) -> None:
        assert value in values, value

    return check


def these(value: Any, checks: Mapping[str, Check]) -> None:
    """An object with these keys, in this order, and no other."""
    assert type(value) is dict
    assert list(value) == list(checks)
    for key, check in checks.items():
        check(value[key])


def each(check: Check, least: int = 0, most: float = math.inf) -> Check:
    def check_all(value: Any) -> None:
        assert type(value) is list
        assert least <= len(value) <= most
        for member in value:
            check(member)

    return check_all


def an(checks: Mapping[str, Check]) -> Check:
    return lambda value: these(value, checks)


SAMPLES = each(number, most=20)
MEMORY = an({"used": number, "total": number, "percent": percent})


def check_queries(value: Any, tiers: Sequence[str] = TIERS) -> None:
    these(
        value,
        {
            "timestamps": each(moment, 18, 18),
            "queryRate": each(number, 18, 18),
            "totalQueries": whole,
            "avgLatencyMs": number,
            "tierDistribution": an(dict.fromkeys(tiers, whole)),
        },
    )
    assert value["timestamps"] == sorted(set(value["timestamps"]))
    assert all(moment.endswith(("0Z",)) for moment in value["timestamps"])
    assert sum(value["tierDistribution"].values()) <= value["totalQueries"]


def check_tiers(value: Any, tiers: Sequence[str] = TIERS) -> None:
    tier = an({"name": text, "tokensPerSec": SAMPLES, "latencyMs": SAMPLES, "requestCount": whole, "errorRate": share})
    these(value, {"tiers": each(tier)})
    assert [each["name"] for each in value["tiers"]] == list(tiers)


def check_resources(value: Any) -> None:
    these(
        value,
        {
            "vram": MEMORY,
            "cpu": an({"percent": percent, "cores": whole}),
            "memory": MEMORY,
            "faissIndexSize": whole,
            "redisCacheSize": whole,
            "activeConnections": whole,
            "threadPoolStatus": an({"active": whole, "queued": whole}),
            "diskIO": an({"readMBps": number, "writeMBps": number}),
            "networkThroughput": an({"rxMBps": number, "txMBps": number}),
        },
    )


def check_routing(value: Any, tiers: Sequence[str] = TIERS) -> None:
    cell = an({"complexity": one_of(*LEVELS), "tier": text, "count": whole, "avgScore": number})
    accuracy = an({"totalDecisions": whole, "avgDecisionTimeMs": number, "fallbackRate": share})
    models = an({"tier": text, "available": whole, "total": whole})
    these(value, {"decisionMatrix": each(cell), "accuracyMetrics": accuracy, "modelAvailability": each(models)})
    cells = [(cell["complexity"], cell["tier"]) for cell in value["decisionMatrix"]]
    assert cells == [(level, tier) for level in LEVELS for tier in tiers]
    assert [each["tier"] for each in value["modelAvailability"]] == list(tiers)
    assert all(each["available"] <= each["total"] for each in value["modelAvailability"])


def check_update(value: Any, tiers: Sequence[str] = TIERS) -> None:
    these(
        value,
        {
            "type": one_of("metrics_update"),
            "timestamp": moment,
            "queries": lambda part: check_queries(part, tiers),
            "resources": check_resources,
            "routing": lambda part: check_routing(part, tiers),
        },
    )


def check_models(value: Any) -> None:
    model = {
        "id": text,
        "name": text,
        "tier": text,
        "port": lambda port: whole(port, 65535),
        "state": one_of(*STATES),
        "memoryUsed": whole,
        "memoryTotal": whole,
        "requestCount": whole,
        "avgResponseTime": number,
        "lastActive": moment,
        "errorCount": whole,
        "uptimeSeconds": whole,
    }
    metrics = {
        "modelId": text,
        "tokensPerSecond": SAMPLES,
        "currentTokensPerSecond": number,
        "memoryGb": SAMPLES,
        "currentMemoryGb": number,
        "latencyMs": SAMPLES,
        "currentLatencyMs": number,
    }
    these(
        value,
        {
            "models": each(an(model)),
            "totalVramGb": number,
            "totalVramUsedGb": number,
            "cacheHitRate": share,
            "activeQueries": whole,
            "totalRequests": whole,
            "timestamp": moment,
            "metrics": each(an(metrics)),
            "metricsTimestamp": moment,
        },
    )
    ids = [model["id"] for model in value["models"]]
    assert len(set(ids)) == len(ids)
    assert [metrics["modelId"] for metrics in value["metrics"]] == ids
    assert all(0 < model["memoryTotal"] >= model["memoryUsed"] and model["port"] for model in value["models"])


def check_historical(value: Any) -> None:
    these(
        value,
        {
            "totalRequests": whole,
            "totalErrors": whole,
            "errorRate": percent,
            "avgLatencyMs": number,
            "p95LatencyMs": number,
            "p99LatencyMs": number,
            "uptimeDays": whole,
            "uptimeHours": lambda hours: whole(hours, 23),
            "uptimeSeconds": whole,
            "totalCacheHits": whole,
            "totalCacheMisses": whole,
            "cacheHitRate": percent,
        },
    )
    assert value["totalErrors"] <= value["totalRequests"]
    days, hours = value["uptimeDays"], value["uptimeHours"]
    assert days * 86400 + hours * 3600 <= value["uptimeSeconds"] < days * 86400 + (hours + 1) * 3600


def check_context(value: Any) -> None:
    these(value, {"percentage": percent, "tokensUsed": whole, "tokensTotal": whole, "activeQueries": whole})
    assert value["tokensUsed"] <= value["tokensTotal"]


def check_orchestrator(value: Any, tiers: Sequence[str] = TIERS) -> None:
    tier = {"tier": text, "utilizationPercent": whole_percent, "activeRequests": whole, "totalProcessed": whole}
    decision = {
        "id": text,
        "query": one_of(""),
        "tier": text,
        "complexity": one_of(*LEVELS),
        "timestamp": moment,
        "score": number,
    }
    these(
        value,
        {
            "tierUtilization": each(an(tier)),
            "recentDecisions": each(an(decision), most=10),
            "complexityDistribution": an(dict.fromkeys(("simple", "moderate", "complex"), whole_percent)),
            "totalDecisions": whole,
            "avgDecisionTimeMs": number,
            "timestamp": moment,
        },
    )
    assert [each["tier"] for each in value["tierUtilization"]] == list(tiers)
    assert sum(value["complexityDistribution"].values()) in (0, 100)
    ids = [decision["id"] for decision in value["recentDecisions"]]
    assert len(set(ids)) == len(ids)


def check_error(value: Any) -> None:
    these(value, {"error": text, "message": text, "details": lambda details: None})
    assert type(value["details"]) is dict
    for field, reason in value["details"].items():
        text(field)
        text(reason)


def check_recorded(value: Any) -> None:
    these(value, {"recorded": lambda recorded: None})
    assert type(value["recorded"]) is bool


CHECKS: Mapping[str, Check] = {
    "queries": check_queries,
    "tiers": check_tiers,
    "resources": check_resources,
    "routing": check_routing,
    "historical": check_historical,
    "context": check_context,
    "models": check_models,
    "orchestrator": check_orchestrator,
}
"""By the names that `desk.READS` gives them."""
