"""What applications tell that route by themselves: the request bodies of the recording routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from exporter.record import Complexity

DAY_MS = 86_400_000.0


def _printable(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be printable characters")
    return value


TierName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
Milliseconds = Annotated[float, Field(ge=0, le=DAY_MS)]
Models = Annotated[int, Field(ge=0, le=10_000)]


class Told(BaseModel):
    """A request body."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)

    tier: TierName
    """Q2, Q3, Q4, ..."""


class RecordedQuery(Told):
    """A query that an application has answered."""

    latency_ms: Milliseconds
    tokens_generated: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """0: not known."""
    generation_time_ms: Milliseconds = 0.0
    """0: not known."""
    is_error: bool = False


class RecordedDecision(Told):
    """A decision that an application has made; `tier` is where the request went."""

    complexity: Complexity
    score: Annotated[float, Field(ge=0, le=1000)]
    decision_time_ms: Milliseconds
    is_fallback: bool = False


class RecordedModels(Told):
    """How many models an application's tier has."""

    available: Models
    """Those that can answer now."""
    total: Models

    @field_validator("total")
    @classmethod
    def _not_below_available(cls, total: int, info: ValidationInfo) -> int:
        if total < info.data.get("available", 0):
            raise ValueError("must not be less than `available`")
        return total
