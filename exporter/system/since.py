"""Since when each llama-server has been seen to be up, or not. `app` tells it of every look, the rooms ask."""

from __future__ import annotations

from typing import NamedTuple


class _Seen(NamedTuple):
    up: bool
    wall: float


class Since:
    """When each upstream was first seen to be as it was seen last. The first look counts as the beginning."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def note(self, upstream: str, *, up: bool, wall: float) -> None:
        """A look at an upstream, at `wall` (UTC seconds since the epoch)."""
        before = self._seen.get(upstream)
        if before is None or before.up is not up:
            self._seen[upstream] = _Seen(up, wall)

    def since(self) -> dict[str, float]:
        """By upstream, UTC seconds since the epoch; without those that nobody has looked at."""
        return {upstream: seen.wall for upstream, seen in self._seen.items()}
