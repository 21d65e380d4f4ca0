"""The metrics endpoint of nextjs-llama-async-proxy, `/api/metrics`: the machine and the traffic in one small document.

`routes` makes the room, `figures` its shapes, `documents` describes them. The page is docs/api-system-metrics.md.
"""

from __future__ import annotations

from exporter.api.system_metrics.routes import room

__all__ = ["room"]
