"""What the documents of this room look like: the description shows it."""

from __future__ import annotations

from exporter.api.synapse.documents import Error, Queries, Recorded, Resources, Routing, Tiers
from exporter.api.synapse.status_documents import ContextUtilization, Historical, ModelsStatus, OrchestratorStatus
from exporter.record import Complexity
from exporter.utc import utc

BEGINNING = 1795163370.0
RATES = [0.4, 0.6, 0.5, 0.3, 0.2, 0.2, 0.4, 0.7, 0.9, 0.8, 0.6, 0.5, 0.3, 0.4, 0.6, 0.8, 0.5, 0.8]
NOW = "2026-11-20T08:32:30.000Z"
BEFORE = "2026-11-20T08:32:28.250Z"

QUERIES: Queries = {
    "timestamps": [utc(BEGINNING + 10 * step, "seconds") for step in range(len(RATES))],
    "queryRate": RATES,
    "totalQueries": 450,
    "avgLatencyMs": 2350.5,
    "tierDistribution": {"Q2": 300, "Q3": 100, "Q4": 50},
}
TIERS: Tiers = {
    "tiers": [
        {
            "name": "Q2",
            "tokensPerSec": [45.2, 48.1],
            "latencyMs": [1200.0, 1150.0],
            "requestCount": 1250,
            "errorRate": 0.015,
        }
    ]
}
RESOURCES: Resources = {
    "vram": {"used": 8.5, "total": 24.0, "percent": 35.4},
    "cpu": {"percent": 45.2, "cores": 16},
    "memory": {"used": 12.3, "total": 32.0, "percent": 38.4},
    "faissIndexSize": 524288000,
    "redisCacheSize": 104857600,
    "activeConnections": 5,
    "threadPoolStatus": {"active": 4, "queued": 2},
    "diskIO": {"readMBps": 15.3, "writeMBps": 8.7},
    "networkThroughput": {"rxMBps": 2.5, "txMBps": 1.8},
}
ROUTING: Routing = {
    "decisionMatrix": [{"complexity": Complexity.SIMPLE, "tier": "Q2", "count": 850, "avgScore": 1.8}],
    "accuracyMetrics": {"totalDecisions": 2250, "avgDecisionTimeMs": 0.04, "fallbackRate": 0.03},
    "modelAvailability": [{"tier": "Q2", "available": 3, "total": 3}],
}
HISTORICAL: Historical = {
    "totalRequests": 2250,
    "totalErrors": 28,
    "errorRate": 1.24,
    "avgLatencyMs": 2350.5,
    "p95LatencyMs": 8512.4,
    "p99LatencyMs": 9210.75,
    "uptimeDays": 1,
    "uptimeHours": 1,
    "uptimeSeconds": 90061,
    "totalCacheHits": 120345,
    "totalCacheMisses": 165310,
    "cacheHitRate": 42.13,
}
CONTEXT_UTILIZATION: ContextUtilization = {
    "percentage": 6.2,
    "tokensUsed": 1024,
    "tokensTotal": 16384,
    "activeQueries": 1,
}
MODELS_STATUS: ModelsStatus = {
    "models": [
        {
            "id": "Q2",
            "name": "tiny-q2",
            "tier": "Q2",
            "port": 8082,
            "state": "active",
            "memoryUsed": 3072,
            "memoryTotal": 24576,
            "requestCount": 1250,
            "avgResponseTime": 1180.5,
            "lastActive": BEFORE,
            "errorCount": 19,
            "uptimeSeconds": 90061,
        }
    ],
    "totalVramGb": 24.0,
    "totalVramUsedGb": 8.5,
    "cacheHitRate": 0.4213,
    "activeQueries": 2,
    "totalRequests": 2250,
    "timestamp": NOW,
    "metrics": [
        {
            "modelId": "Q2",
            "tokensPerSecond": [45.2, 48.1],
            "currentTokensPerSecond": 48.1,
            "memoryGb": [3.0],
            "currentMemoryGb": 3.0,
            "latencyMs": [1200.0, 1150.0],
            "currentLatencyMs": 1150.0,
        }
    ],
    "metricsTimestamp": NOW,
}
ORCHESTRATOR_STATUS: OrchestratorStatus = {
    "tierUtilization": [{"tier": "Q2", "utilizationPercent": 33, "activeRequests": 1, "totalProcessed": 1250}],
    "recentDecisions": [
        {
            "id": "dec-000008ca",
            "query": "",
            "tier": "Q2",
            "complexity": Complexity.SIMPLE,
            "timestamp": BEFORE,
            "score": 1.8,
        }
    ],
    "complexityDistribution": {"simple": 60, "moderate": 30, "complex": 10},
    "totalDecisions": 2250,
    "avgDecisionTimeMs": 0.04,
    "timestamp": NOW,
}
RECORDED: Recorded = {"recorded": True}
PLAIN: Error = {"error": "UpgradeRequired", "message": "this is a WebSocket: connect to it as one", "details": {}}
BAD_BODY: Error = {
    "error": "BadRequest",
    "message": "the body is not as it should be; `details` says why",
    "details": {"tier": "Field required"},
}
FOREIGN: Error = {
    "error": "Forbidden",
    "message": "pages of this origin may not do that; admin.cors_origins names those that may",
    "details": {},
}
TOO_LATE: Error = {"error": "RequestTimeout", "message": "the rest of the body did not come in time", "details": {}}
TOO_LONG: Error = {"error": "PayloadTooLarge", "message": "the body is longer than 16384 bytes", "details": {}}
