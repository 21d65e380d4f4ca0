"""Sums by provider and model, streamed and not: since the start, and, where there is a store, since it was begun. Fed
by `feed`, read by the rooms."""

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

    def __iadd__(self, other: ModelSums) -> ModelSums:
        self.streamed += other.streamed
        self.plain += other.plain
        self.last_wall = max(self.last_wall, other.last_wall)
        return self

    def whole(self) -> Sums:
        """Both together."""
        both = Sums()
        both += self.streamed
        both += self.plain
        return both


ByModel = dict[str, dict[str, ModelSums]]
"""By provider, then by model."""


class Totals:
    """All sums."""

    def __init__(self) -> None:
        self._models: ByModel = {}
        self._before: ByModel = {}
        """What was summed up before the start."""

    def add(self, query: Query) -> None:
        """Count one request. There are few models, whatever clients send: labels of metrics, or what upstreams list."""
        model = _of(self._models, query.provider, query.resolved_model)
        (model.streamed if query.stream else model.plain).add(query)
        model.last_wall = max(model.last_wall, query.wall)

    def restore(self, provider: str, model: str, before: ModelSums) -> None:
        """Let the sums of a model go on from what was summed up before the start."""
        found = _of(self._before, provider, model)
        found += before

    @property
    def providers(self) -> Mapping[str, Mapping[str, ModelSums]]:
        """By provider, then by model, with what was before the start."""
        if not self._before:
            return self._models
        both: ByModel = {}
        for part in (self._before, self._models):
            for provider, models in part.items():
                for name, sums in models.items():
                    found = _of(both, provider, name)
                    found += sums
        return both

    def whole(self) -> Sums:
        """Everything since the start."""
        every = Sums()
        for models in self._models.values():
            for model in models.values():
                every += model.streamed
                every += model.plain
        return every


def _of(models: ByModel, provider: str, name: str) -> ModelSums:
    by_name = models.setdefault(provider, {})
    found = by_name.get(name)
    if found is None:
        found = by_name[name] = ModelSums()
    return found
