"""The frozen bundle of read-models that a room receives: everything it may know, nothing it could change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.system.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Views:
    """What the rooms read."""

    version: str
    upstreams: tuple[str, ...]
    """Names, in configured order."""
    snapshot: Callable[[], Snapshot]
    """What was sampled last."""
    servers_sampled: bool
    """Whether llama-servers are looked at; when not, nobody knows whether they are ready."""
