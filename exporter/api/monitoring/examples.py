"""What the documents of this room look like: the description shows it."""

from __future__ import annotations

from exporter.api.monitoring.documents import Failure, Figures, FinishedRequests, ModelList, Now, TierFigures
from exporter.api.past import NO_STORE
from exporter.models.model import Status
from exporter.record import Complexity, Outcome
from exporter.store.figures import SEARCHED
from exporter.system.snapshot import ServerState

FIGURES: Figures = {
    "requests": 120,
    "failed": 2,
    "duration_seconds": {"p50": 2.41, "p95": 8.73},
    "ttft_seconds": {"p50": 0.152, "p95": 0.61},
    "output_tokens_per_second": {"p50": 41.8, "p95": 44.2},
}
TIER: TierFigures = {"name": "Q4", **FIGURES}
NOW: Now = {
    "version": "1.2.3",
    "instance": "gpu-box-1:8001",
    "timestamp": "2026-11-20T08:32:30.000Z",
    "started_at": "2026-11-19T07:31:29.000Z",
    "sample_seconds": 5.0,
    "servers_sampled": True,
    "recording": True,
    "history": True,
    "streams": True,
    "keys": False,
    "proxy": {"host": "127.0.0.1", "port": 8001, "keys": False},
    "figures": FIGURES,
    "trend": {"starts_at": "2026-11-20T08:02:30.000Z", "step_seconds": 10, "requests": [0, 1] * 60 + [1] * 60},
    "tiers": [TIER],
    "in_flight": [
        {
            "request_id": "00f3a4b5c6d7e8f9",
            "tier": "Q4",
            "upstream": "Q4",
            "ttft_seconds": 0.152,
            "output_tokens_per_second": 41.8,
        }
    ],
    "upstreams": [
        {
            "name": "Q4",
            "tiers": ["Q4"],
            "up": True,
            "state": ServerState.READY,
            "since": "2026-11-20T06:00:04.120Z",
            "reason": None,
            "sampled_at": "2026-11-20T08:32:27.500Z",
            "router": True,
            "models": 2,
            "models_loaded": 1,
            "slots": 4,
            "slots_busy": 1,
            "requests_deferred": 0,
            "context_tokens": 32768,
            "context_tokens_used": 2310,
        }
    ],
}
MODELS: ModelList = {
    "timestamp": "2026-11-20T08:32:30.000Z",
    "models": [
        {
            "name": "tiny-q4",
            "status": Status.RUNNING,
            "upstream": "Q4",
            "tier": "Q4",
            "quantization": "Q4_K_M",
            "size_bytes": 4920739232,
            "context_size": 8192,
            "slots": 4,
            "slots_busy": 1,
            "context_tokens": 32768,
            "context_tokens_used": 2310,
            "progress": None,
            "stage": None,
            "remaining_seconds": None,
            "last_used_at": "2026-11-20T08:32:30.000Z",
            "error": None,
            "can_load": False,
            "can_unload": True,
        },
        {
            "name": "tiny-q8",
            "status": Status.STOPPED,
            "upstream": "Q4",
            "tier": None,
            "quantization": "Q8_0",
            "size_bytes": 8540770720,
            "context_size": 8192,
            "slots": None,
            "slots_busy": None,
            "context_tokens": None,
            "context_tokens_used": None,
            "progress": None,
            "stage": None,
            "remaining_seconds": None,
            "last_used_at": None,
            "error": None,
            "can_load": True,
            "can_unload": False,
        },
    ],
    "total": 2,
    "loads_on": "Q4",
}
REQUESTS: FinishedRequests = {
    "timestamp": "2026-11-20T08:32:30.000Z",
    "requests": [
        {
            "id": 4711,
            "request_id": "00f3a4b5c6d7e8f9",
            "finished_at": "2026-11-20T08:32:28.123Z",
            "duration_seconds": 2.504,
            "outcome": Outcome.COMPLETED,
            "status_code": 200,
            "error_type": None,
            "finish_reason": "stop",
            "operation": "chat",
            "streamed": True,
            "model": "tiny-q4",
            "requested_model": "auto",
            "tier": "Q4",
            "upstream": "Q4",
            "origin": "http://chat.lan",
            "input_tokens": 100,
            "cached_tokens": 64,
            "output_tokens": 98,
            "output_tokens_per_second": 41.8,
            "attempts": 1,
            "complexity": Complexity.MODERATE,
            "wanted_tier": "Q4",
            "fallback": False,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "timeline": {
                "overhead_seconds": 0.00031,
                "queue_seconds": 0.012,
                "prefill_seconds": 0.138,
                "first_token_seconds": 0.152,
                "last_token_seconds": 2.5,
                "decode_seconds": 2.345,
            },
        }
    ],
    "searched": SEARCHED,
}
BAD: Failure = {"error": "limit: not a whole number from 1 to 200"}
AWAY: Failure = {"error": NO_STORE}
