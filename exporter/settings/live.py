"""The settings of what is shown of now, and to how many."""

from __future__ import annotations

from pydantic import Field

from exporter.settings.fields import Section


class LiveSettings(Section):
    """The live contracts of the admin listener: event stream, WebSocket, and what real clients need of them."""

    max_readers: int = Field(
        default=2000,
        ge=0,
        le=100_000,
        description="Event streams that are read at once, and as many WebSockets; more are refused with 503.",
    )
    active_requests_stream: bool = Field(
        default=True,
        description="Whether there is `/metrics/active-requests/stream` (`VDM_ACTIVE_REQUESTS_SSE_ENABLED`).",
    )
    active_requests_interval_seconds: float = Field(
        default=0.5,
        ge=0.05,
        le=60,
        description="Shortest time between two updates of that stream (`VDM_ACTIVE_REQUESTS_SSE_INTERVAL`).",
    )
    active_requests_heartbeat_seconds: float = Field(
        default=30.0,
        ge=0.5,
        le=3600,
        description="After so much silence it sends a comment (`VDM_ACTIVE_REQUESTS_SSE_HEARTBEAT`).",
    )
    system_metrics_envelope: bool = Field(
        default=False,
        description="Answer `GET /api/metrics` as `?envelope=1` does, for front ends that unwrap `data` and cannot ask "
        "for it.",
    )
