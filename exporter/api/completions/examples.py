"""What the documents of this room look like: the description shows it."""

from __future__ import annotations

from exporter.api.completions.documents import CompletionRequest, Failure, Healthy, Metrics, Unhealthy

METRICS: Metrics = {
    "total_requests": 150,
    "successful_requests": 145,
    "failed_requests": 5,
    "recent_requests_24h": 25,
    "streaming_requests": 80,
    "non_streaming_requests": 70,
    "total_tokens_used": 21750,
    "avg_tokens_per_request": 150.0,
    "avg_response_time_ms": 1250.5,
    "avg_tokens_per_second": 42.5,
    "avg_time_to_first_token_ms": 150.25,
    "avg_time_to_last_token_ms": 2500.5,
    "avg_completion_duration_ms": 2350.25,
    "top_models": [{"model": "tiny-q4", "count": 150}],
    "top_origins": [{"origin": "http://chat.lan", "count": 120}],
    "finish_reasons": [{"reason": "stop", "count": 140}, {"reason": "length", "count": 5}],
    "error_types": [{"type": "rate_limit", "count": 3}, {"type": "invalid_request", "count": 2}],
    "requests": {
        "total": {"total": 150, "successful": 145, "failed": 5, "avg_response_time_ms": 1210.0},
        "streamed": {
            "total": 80,
            "successful": 80,
            "failed": 0,
            "tokens": {
                "reported_count": 80,
                "total": 12000,
                "prompt_total": 8000,
                "completion_total": 4000,
                "avg_tokens_per_second": 45.0,
            },
            "error_types": {},
            "avg_response_time_ms": 2510.75,
            "avg_time_to_first_token_ms": 150.25,
            "avg_time_to_last_token_ms": 2500.5,
            "avg_completion_duration_ms": 2350.25,
        },
        "non_streamed": {
            "total": 70,
            "successful": 65,
            "failed": 5,
            "tokens": {"reported_count": 65, "total": 9750, "prompt_total": 6500, "completion_total": 3250},
            "error_types": {"rate_limit": 3, "invalid_request": 2},
        },
    },
    "model_distribution": {"tiny-q4": 150},
    "origin_distribution": {"http://chat.lan": 120},
    "success_rate": 96.67,
    "streaming_percentage": 53.33,
    "avg_prompt_tokens": 100.0,
    "avg_completion_tokens": 50.0,
    "avg_total_tokens": 150.0,
    "timestamp": "2026-11-20T08:32:30.000Z",
}
ROWS: list[CompletionRequest] = [
    {
        "timestamp": "2026-11-20T08:32:28.123456",
        "time_to_first_token_ms": 150,
        "time_to_last_token_ms": 2500,
        "is_streaming": True,
        "success": True,
        "message_count": 5,
        "prompt_tokens": 100,
        "tokens": {"total": 150, "prompt": 100, "completion": 50},
        "timing": {"time_to_first_token_ms": 150, "time_to_last_token_ms": 2500, "response_time_ms": 2504},
        "model": "tiny-q4",
        "origin": "http://chat.lan",
        "finish_reason": "stop",
        "error_type": None,
    }
]
HEALTHY: Healthy = {"status": "healthy", "timestamp": "2026-11-20T08:32:30.000Z"}
UNHEALTHY: Unhealthy = {
    "status": "unhealthy",
    "timestamp": "2026-11-20T08:32:30.000Z",
    "detail": "history is off: store.url is none",
}
BAD: Failure = {"detail": "start: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"}
AWAY: Failure = {"detail": "history is off: store.url is none"}
