"""Who is in flight: the Observations of all requests that are being served.

`proxy.forward` reports each request's start and end; `app` and the rooms read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

from exporter.observe.observation import Observation


class ActiveRequests:
    """The set of requests in flight."""

    def __init__(self) -> None:
        self._observations: set[Observation] = set()
        self.version = 0
        """Grows with every start and end. Not with tokens: who wants to know how far a stream has come looks at its
        Observation, now and then, since to wake somebody costs more than all else that is done for a token."""
        self._last_end: dict[str, float] = {}
        self._changed: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._observations)

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._observations)

    def asking(self) -> Iterator[Observation]:
        """Those that ask a model for something."""
        return (each for each in self._observations if each.inference)

    def by_model(self, only_models: Mapping[str, str]) -> Counter[tuple[str | None, str]]:
        """How many ask each upstream (None: it is not chosen yet) for each model. One that routing has not heard of
        yet is known by the name that the client has said; `only_models` are those of upstreams that have one, and
        answer everything with it."""
        return Counter(
            (each.upstream, only_models.get(each.upstream or "") or each.served_model or each.requested_model or "")
            for each in self.asking()
        )

    def start(self, observation: Observation) -> None:
        """A request has arrived."""
        self._observations.add(observation)
        self._change()

    def end(self, observation: Observation, now: float) -> None:
        """A request has been accounted for."""
        self._observations.discard(observation)
        self._change()
        if observation.upstream is not None and observation.inference:
            self._last_end[observation.upstream] = now

    async def changed(self, since: int) -> int:
        """Wait until the version is another than `since`; returns it. Any number may wait, and none misses a change."""
        while self.version == since:
            if self._changed is None:
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)
        return self.version

    def last_active(self, upstream: str, now: float) -> float | None:
        """Monotonic time at which the upstream last ran a model for a client; `now` while it does, None when it never
        did."""
        return now if self.is_working(upstream) else self._last_end.get(upstream)

    def is_working(self, upstream: str) -> bool:
        """Whether the upstream runs a model for a client now."""
        return any(each.upstream == upstream for each in self.asking())

    def _change(self) -> None:
        self.version += 1
        if self._changed is not None:
            if not self._changed.done():
                self._changed.set_result(None)
            self._changed = None
