"""What the documents of this room look like: the description shows it."""

from __future__ import annotations

from exporter.api.vandamme.documents import (
    ActiveRequests,
    BadParameters,
    Disabled,
    ModelTotals,
    ProviderTotals,
    RunningTotals,
    Split,
)

ACTIVE: ActiveRequests = {
    "disabled": False,
    "active_requests": [
        {
            "request_id": "5afbcc2fc123458e",
            "provider": "llama_cpp",
            "model": "tiny-q4",
            "requested_model": "tiny-q4",
            "resolved_model": "tiny-q4",
            "qualified_model": "llama_cpp:tiny-q4",
            "is_streaming": True,
            "start_time": 1795163555.268866,
            "duration_ms": 698,
            "input_tokens": 0,
            "output_tokens": 12,
            "cache_read_tokens": 0,
            "cache_creation_tokens": 0,
            "tool_uses": 0,
            "tool_results": 0,
            "tool_calls": 0,
            "request_size": 113,
            "message_count": 1,
        }
    ],
}
EVENT = {"event": "update", "data": '{"disabled": false, "active_requests": [], "timestamp": 1795163551.756}'}
NO_STREAM: Disabled = {
    "disabled": True,
    "message": "SSE for active requests is disabled",
    "suggestion": "Set VDM_ACTIVE_REQUESTS_SSE_ENABLED=true to enable",
}
STREAMED: Split = {
    "requests": 3,
    "errors": 0,
    "input_tokens": 36,
    "output_tokens": 15,
    "cache_read_tokens": 8,
    "cache_creation_tokens": 0,
    "tool_uses": 0,
    "tool_results": 0,
    "tool_calls": 0,
    "average_duration_ms": 1044,
    "total_duration_ms": 3133.38,
}
MODEL: ModelTotals = {"last_accessed": "2026-11-20T08:32:28Z", "total": STREAMED, "streaming": STREAMED}
PROVIDER: ProviderTotals = {
    "last_accessed": "2026-11-20T08:32:28Z",
    "rollup": {"total": STREAMED, "streaming": STREAMED, "avg_duration_ms": 1044},
    "models": {"tiny-q3": MODEL},
}
TOTALS: RunningTotals = {
    "summary": {
        "last_accessed": {"top": "2026-11-20T08:32:28Z"},
        "total_requests": 3,
        "total_errors": 0,
        "total_input_tokens": 36,
        "total_output_tokens": 15,
        "total_cache_read_tokens": 8,
        "total_cache_creation_tokens": 0,
        "total_tool_uses": 0,
        "total_tool_results": 0,
        "total_tool_calls": 0,
        "active_requests": 1,
        "average_duration_ms": 1044,
        "total_duration_ms": 3133,
        "cache_read_tokens": 8,
        "cache_creation_tokens": 0,
        "streaming_average_duration_ms": 1044,
        "non_streaming_average_duration_ms": 0,
    },
    "providers": {"llama_cpp": PROVIDER},
}
UNCLEAR: BadParameters = {
    "detail": [
        {
            "type": "bool_parsing",
            "loc": ["query", "include_active"],
            "msg": "Input should be a valid boolean, unable to interpret input",
            "input": "maybe",
        }
    ]
}
