"""Tells the operator when an upstream becomes ready and when it ceases to be. `app` reports each sample to it."""

from __future__ import annotations

import logging

from exporter.system.snapshot import LlamaServerSnapshot, ServerState

log = logging.getLogger(__name__)


class UpstreamLog:
    """Says when an upstream becomes ready and when it ceases to be, once each time."""

    def __init__(self) -> None:
        self._states: dict[str, ServerState] = {}

    def note(self, server: LlamaServerSnapshot) -> None:
        """A new sample of an upstream."""
        before = self._states.get(server.upstream)
        state = ServerState.READY if server.up else server.state  # busy is ready, and no news
        self._states[server.upstream] = state
        if state is before:
            return
        extra = {"upstream": server.upstream, "state": str(server.state), "reason": server.error}
        if server.up:
            log.info("upstream is ready", extra=extra | {"tiers": list(server.tiers)})
        else:
            log.warning("upstream is not ready", extra=extra)
