"""The dashboards, in the order in which they are listed. A new one: a module with `BOARD`, and a line here."""

from __future__ import annotations

from dashboards.generator.boards import latency, llama_server, overview, resources, routing, sidecar

BOARDS = (overview.BOARD, latency.BOARD, routing.BOARD, llama_server.BOARD, resources.BOARD, sidecar.BOARD)
