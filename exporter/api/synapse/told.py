"""What applications tell that route by themselves: the request bodies of the recording routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from exporter.record import Complexity

DAY_MS = 86_400_000.0


def _printable(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be printable characters")
    return value


def _whole(value: object) -> object:
    """JSON has one kind of numbers: 45.0 is as whole as 45."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


TierName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
Milliseconds = Annotated[float, Field(ge=0, le=DAY_MS)]
Whole = BeforeValidator(_whole)
Models = Annotated[int, Field(ge=0, le=10_000), Whole]


class Told(BaseModel):
    """A request body."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True)

    tier: TierName
    """Q2, Q3, Q4, ..."""


class RecordedQuery(Told):
    """A query that an application has answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tier": "Q2",
                    "latency_ms": 850.0,
                    "tokens_generated": 120,
                    "generation_time_ms": 700.0,
                    "is_error": False,
                }
            ]
        }
    )

    latency_ms: Milliseconds
    """Duration of the whole query."""
    tokens_generated: Annotated[int, Field(ge=0, le=10_000_000), Whole] = 0
    """0: not known."""
    generation_time_ms: Milliseconds = 0.0
    """The part of `latency_ms` in which the tokens were generated; 0: not known."""
    is_error: bool = False
    """Whether it failed."""


class RecordedDecision(Told):
    """A decision that an application has made; `tier` is where the request went."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "complexity": "SIMPLE",
                    "tier": "Q2",
                    "score": 1.8,
                    "decision_time_ms": 0.4,
                    "is_fallback": False,
                }
            ]
        }
    )

    complexity: Complexity
    score: Annotated[float, Field(ge=0, le=1000)]
    """Complexity as a number, on a scale of the application's own."""
    decision_time_ms: Milliseconds
    is_fallback: bool = False
    """Whether the tier was not the wanted one."""


class RecordedModels(Told):
    """How many models an application's tier has."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tier": "Q2", "available": 1, "total": 2}]})

    available: Models
    """Those that can answer now."""
    total: Models
    """Not less than `available`."""

    @field_validator("total")
    @classmethod
    def _not_below_available(cls, total: int, info: ValidationInfo) -> int:
        if total < info.data.get("available", 0):
            raise ValueError("must not be less than `available`")
        return total
