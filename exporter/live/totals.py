"""Sums since the start by provider and model, streamed and not. Fed by `feed`, read by the rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.live.query import Query


@dataclass(slots=True)
class Sums:
    """Sums over requests. Tokens that nobody told are not in them."""

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Input tokens that were served from the prompt cache."""
    tool_calls: int = 0
    """Calls of tools in answers."""
    tool_uses: int = 0
    """Those in the conversations that were sent."""
    tool_results: int = 0
    total_seconds: float = 0.0

    def add(self, query: Query) -> None:
        """Count one request."""
        self.requests += 1
        self.failed += query.failed
        self.input_tokens += query.input_tokens
        self.output_tokens += query.output_tokens
        self.cached_tokens += query.cached_tokens
        self.tool_calls += query.tool_calls
        self.tool_uses += query.tool_uses
        self.tool_results += query.tool_results
        self.total_seconds += query.latency_seconds

    def __iadd__(self, other: Sums) -> Sums:
        self.requests += other.requests
        self.failed += other.failed
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.tool_calls += other.tool_calls
        self.tool_uses += other.tool_uses
        self.tool_results += other.tool_results
        self.total_seconds += other.total_seconds
        return self

    @property
    def mean_seconds(self) -> float:
        """Mean duration; 0 without requests."""
        return self.total_seconds / self.requests if self.requests else 0.0


@dataclass(slots=True)
class ModelSums:
    """One model of one provider."""

    streamed: Sums = field(default_factory=Sums)
    plain: Sums = field(default_factory=Sums)
    """Requests whose answer was not streamed."""
    last_wall: float = 0.0
    """UTC time at which the newest of its requests began, seconds since the epoch."""

    def whole(self) -> Sums:
        """Both together."""
        both = Sums()
        both += self.streamed
        both += self.plain
        return both


class Totals:
    """All sums."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, ModelSums]] = {}

    def add(self, query: Query) -> None:
        """Count one request. There are few models, whatever clients send: labels of metrics, or what upstreams list."""
        models = self._models.setdefault(query.provider, {})
        model = models.get(query.resolved_model)
        if model is None:
            model = models[query.resolved_model] = ModelSums()
        (model.streamed if query.stream else model.plain).add(query)
        model.last_wall = max(model.last_wall, query.wall)

    @property
    def providers(self) -> Mapping[str, Mapping[str, ModelSums]]:
        """By provider, then by model."""
        return self._models

    def whole(self) -> Sums:
        """Everything."""
        every = Sums()
        for models in self._models.values():
            for model in models.values():
                every += model.streamed
                every += model.plain
        return every
