"""The settings of what is recorded."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, field_validator

from exporter.settings.fields import Bounds, Section


class BucketSettings(Section):
    """Upper bounds of the histograms' buckets, ascending; unset: the defaults listed in docs/metrics.md."""

    duration: Bounds | None = Field(default=None, description="Seconds of a whole request.")
    ttft: Bounds | None = Field(default=None, description="Seconds to the first token.")
    queue: Bounds | None = Field(default=None, description="Seconds of waiting inside the server.")
    per_token: Bounds | None = Field(default=None, description="Seconds per output token, averaged over a request.")
    inter_token: Bounds | None = Field(default=None, description="Seconds between two content chunks.")
    output_speed: Bounds | None = Field(default=None, description="Generated tokens per second.")
    prompt_speed: Bounds | None = Field(default=None, description="Prompt tokens per second.")
    tokens: Bounds | None = Field(default=None, description="Tokens of one request.")
    overhead: Bounds | None = Field(default=None, description="Seconds that the sidecar itself adds.")
    score: Bounds | None = Field(default=None, description="Complexity scores of routed requests.")
    decision: Bounds | None = Field(default=None, description="Seconds of a routing decision.")
    health_check: Bounds | None = Field(default=None, description="Seconds of a health check.")

    @field_validator("*")
    @classmethod
    def _ascending(cls, value: Bounds | None) -> Bounds | None:
        if value is None:
            return None
        rising = bool(value) and value[0] > 0 and all(low < high for low, high in pairwise(value))
        if not rising or value[-1] == float("inf"):
            raise ValueError("bounds must be positive, finite and ascending")
        return value


class MetricsSettings(Section):
    """What is recorded of the traffic."""

    enabled: bool = Field(
        default=True, description="Master switch (`LOG_REQUEST_METRICS`): off, traffic flows and nothing is recorded."
    )
    max_models: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Distinct model names, beside those that an upstream serves, before `other`.",
    )
    max_origins: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Distinct applications that requests come from (`Origin`, `proxy.client_name_header`), before "
        "`other`.",
    )
    max_label_values: int = Field(
        default=50, ge=1, le=10_000, description="The same for finish reasons and error types."
    )
    buckets: BucketSettings = BucketSettings()
