"""What the running totals are made of: for each provider and model, the sums of what has finished, and how many
requests are in flight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

from exporter.api.vandamme.names import UNKNOWN, Names
from exporter.live.query import resolve_model
from exporter.live.totals import ModelSums, Sums, Totals
from exporter.observe.observation import Observation


@dataclass(slots=True)
class Side:
    """Streamed requests, or the others."""

    finished: Sums = field(default_factory=Sums)
    active: int = 0

    @property
    def requests(self) -> int:
        """Finished or not."""
        return self.finished.requests + self.active

    def __iadd__(self, other: Side) -> Side:
        self.finished += other.finished
        self.active += other.active
        return self


@dataclass(slots=True)
class Row:
    """One model, or several together."""

    streamed: Side = field(default_factory=Side)
    plain: Side = field(default_factory=Side)
    last_wall: float = 0.0
    """UTC time at which the newest request began, seconds since the epoch."""

    @property
    def whole(self) -> Side:
        """Streamed or not."""
        both = Side()
        both += self.streamed
        both += self.plain
        return both

    def __iadd__(self, other: Row) -> Row:
        self.streamed += other.streamed
        self.plain += other.plain
        self.last_wall = max(self.last_wall, other.last_wall)
        return self

    def add_finished(self, sums: ModelSums) -> None:
        """Count what has finished."""
        self.streamed.finished += sums.streamed
        self.plain.finished += sums.plain
        self.last_wall = max(self.last_wall, sums.last_wall)

    def add_active(self, observation: Observation, *, counts: bool) -> None:
        """A request is in flight; unless it `counts`, it only says when the model was last asked."""
        side = self.streamed if observation.streamed else self.plain
        side.active += counts
        self.last_wall = max(self.last_wall, observation.started_at)


class Rows:
    """All rows, by provider, then by model."""

    def __init__(self, names: Names) -> None:
        self.by_provider: dict[str, dict[str, Row]] = {}
        self._names = names

    def at(self, provider: str, model: str) -> Row:
        """The row of a model, whatever a client may have put before its name."""
        models = self.by_provider.setdefault(provider, {})
        return models.setdefault(self._names.split(model).model or UNKNOWN, Row())


def gather(
    totals: Totals,
    active: Iterable[Observation],
    names: Names,
    only_model: Callable[[str | None], str | None],
    *,
    include_active: bool,
) -> Rows:
    """The rows now. `only_model` tells the model of an upstream that has no other.

    A request in flight stands where it will stand when it has finished, unless metrics do not admit its model's name.
    """
    rows = Rows(names)
    for provider, models in totals.providers.items():
        for model, sums in models.items():
            rows.at(provider, model).add_finished(sums)
    for each in active:
        if each.inference:
            model = resolve_model(each, each.requested_model or only_model(each.upstream) or UNKNOWN)
            rows.at(each.provider, model).add_active(each, counts=include_active)
    return rows


@dataclass(frozen=True, slots=True)
class Filter:
    """Patterns of what is chosen: `*` stands for any characters, `?` for one, and case means nothing. They match whole
    names; an empty one matches all."""

    provider: str = ""
    model: str = ""

    def admits(self, provider: str, model: str) -> bool:
        """Whether a model of a provider is chosen."""
        return _matches(provider, self.provider) and _matches(model, self.model)


def _matches(name: str, pattern: str) -> bool:
    """What is too long to match is not compiled: that takes 30 us a character, and anybody may send 60,000."""
    if not pattern:
        return True
    name, pattern = name.lower(), _normal(pattern)
    if len(pattern) - pattern.count("*") > len(name):
        return False
    return _compiled(pattern).match(name) is not None


@lru_cache(16)
def _normal(pattern: str) -> str:
    return re.sub(r"\*+", "*", pattern.lower())


@lru_cache(16)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`fnmatch` itself keeps tens of thousands, and knows `[...]` as well."""
    return re.compile(translate(pattern.replace("[", "[[]")))
