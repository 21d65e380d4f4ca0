"""The models of upstreams that are not the home, as they were sampled, and which of them are registered. `overview`
asks for every model, so it is sorted once and kept until something has changed.

A registered model is found on an upstream by its name, by another name of it there, or by the name of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from exporter.model_name import base_name
from exporter.models.model import ACTIVE, Registered, Status
from exporter.models.registry import Registry
from exporter.models.router.state import WORDS
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ServerState

Servers = Mapping[str, LlamaServerSnapshot]


class Sampled(NamedTuple):
    """A model of an upstream that is not the home."""

    upstream: str
    model: ModelSnapshot
    status: Status

    @property
    def name(self) -> str:
        """What it is asked for by."""
        return self.model.routed_name or self.model.id

    @property
    def names(self) -> tuple[str, ...]:
        """The same, and what else it is called."""
        return self.name, self.model.id, *self.model.aliases


class Sorted(NamedTuple):
    """All of them."""

    claimed: dict[str, Sampled]
    """Those that are registered, by the name of that."""
    free: dict[str, Sampled]
    """The rest, by name; of those that share one, the first."""
    names: dict[str, str]
    """The name in the list, by every name that one of them has."""


class _Seen(NamedTuple):
    home: str | None
    registered: Mapping[str, Registered]
    servers: tuple[tuple[str, LlamaServerSnapshot], ...]

    def is_same(self, other: _Seen) -> bool:
        """Compares what never changes by what it is, not by what it says."""
        return (
            self.home == other.home
            and self.registered is other.registered
            and len(self.servers) == len(other.servers)
            and all(a[0] == b[0] and a[1] is b[1] for a, b in zip(self.servers, other.servers, strict=True))
        )


class Elsewhere:
    """What other upstreams have."""

    def __init__(self, registry: Registry, home: Callable[[], str | None], servers: Callable[[], Servers]) -> None:
        self._registry = registry
        self._home = home
        self._servers = servers
        self._seen: _Seen | None = None
        self._sorted = Sorted({}, {}, {})
        self._by_file: tuple[Mapping[str, Registered], dict[str, str]] = ({}, {})

    def now(self) -> Sorted:
        """As it is now. Not to be changed."""
        seen = _Seen(self._home(), self._registry.models, tuple(self._servers().items()))
        if self._seen is None or not seen.is_same(self._seen):
            self._sorted, self._seen = self._sort(seen), seen
        return self._sorted

    @property
    def someone_answers(self) -> bool:
        """Whether any llama-server is up, as far as anybody has looked."""
        servers = self._servers()
        return not servers or any(each.up for each in servers.values())

    def _sort(self, seen: _Seen) -> Sorted:
        claimed, free, names = dict[str, Sampled](), dict[str, Sampled](), dict[str, str]()
        for each in _look(seen):
            owner = self._owner(each)
            if owner is None:
                free.setdefault(each.name, each)
                names |= dict.fromkeys(each.names, each.name)
            elif owner not in claimed or (each.status in ACTIVE and claimed[owner].status not in ACTIVE):
                claimed[owner] = each
        for name, each in claimed.items():
            names |= dict.fromkeys(each.names, name)
        return Sorted(claimed, free, names | {name: name for name in free})

    def _owner(self, sampled: Sampled) -> str | None:
        by_name = next((name for name in sampled.names if name in self._registry), None)
        return by_name or self._files().get(sampled.model.file_name or "")

    def _files(self) -> dict[str, str]:
        """Registered models by the name of their file; the first of those that share one."""
        models = self._registry.models
        if self._by_file[0] is not models:
            paths = [(base_name(each.path), name) for name, each in models.items() if each.path]
            self._by_file = models, dict(reversed(paths))
        return self._by_file[1]


def _look(seen: _Seen) -> Iterator[Sampled]:
    for name, server in seen.servers:
        if name != seen.home:
            awake = server.up or server.state is ServerState.LOADING
            for model in server.models:
                yield Sampled(name, model, WORDS[model.state] if awake else Status.STOPPED)
