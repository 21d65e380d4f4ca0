"""The settings of how requests are spread over several upstreams."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from exporter.settings.complexity import ComplexitySettings
from exporter.settings.fields import LISTED, Section

UNKNOWN_TIER = "unknown"
"""Stands for a tier that cannot be told."""


QUANTIZATION_TIERS = {**{f"Q{bits}": bits for bits in range(1, 9)}, "F16": 16, "F32": 32}
"""Tiers that are named by the quantizations of their models, and the bits of these."""


class RoutingSettings(Section):
    """Which upstream a request goes to, where there are several (docs/routing.md)."""

    tiers: Annotated[tuple[str, ...], *LISTED] = Field(
        default=("Q2", "Q3", "Q4"),
        min_length=1,
        max_length=32,
        description="Tier names, from cheap to capable.",
    )
    aliases: Annotated[tuple[str, ...], *LISTED] = Field(
        default=("auto",), description="Model names that leave the choice to the sidecar, as naming none does."
    )
    fallback: Literal["any", "tier", "off"] = Field(
        default="any",
        description="Who may answer in the place of an upstream that fails: the others of its tier, then more capable "
        "tiers, then cheaper ones (`any`); only those of its tier (`tier`); nobody (`off`).",
    )
    unknown_models: Literal["route", "refuse"] = Field(
        default="route",
        description="What becomes of a request that names a model that nobody lists: it is routed by complexity to a "
        "server that takes any name (`route`), or answered with 404 (`refuse`).",
    )
    affinity: bool = Field(
        default=True,
        description="Within a tier, a conversation goes back to the server that has it in its prompt cache, while that "
        "has a free slot.",
    )
    load_models: bool = Field(
        default=False,
        description="Whether a request that names no model may go to one that its router has unloaded, and so load it.",
    )
    response_headers: bool = Field(
        default=False,
        description="Add `X-Routing-Tier`, `X-Routing-Upstream` and `X-Routing-Complexity` to the answers of requests "
        "that were routed.",
    )
    health_interval_seconds: float = Field(
        default=5.0,
        ge=0.5,
        le=60,
        description="Between two health checks of an upstream, give or take a tenth; a shorter "
        "`sampling.interval_seconds` counts for them, too.",
    )
    complexity: ComplexitySettings = ComplexitySettings()

    @field_validator("tiers", "aliases")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not name.strip() or len(name) > 64 or not name.isprintable():
                raise ValueError("a name must be 1 to 64 printable characters")
            if value.count(name) > 1:
                raise ValueError(f"{name!r} is given twice")
        return value

    @field_validator("tiers")
    @classmethod
    def _told(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if UNKNOWN_TIER in value:
            raise ValueError(f"{UNKNOWN_TIER!r} stands for what cannot be told; it has no place in the order")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for level in ("simple", "moderate", "complex"):
            tier = getattr(self.complexity, f"{level}_tier")
            if tier is not None and tier not in self.tiers:
                raise ValueError(f"complexity.{level}_tier: {tier!r} is not one of the tiers {', '.join(self.tiers)}")
        return self
