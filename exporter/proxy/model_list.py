"""The list of models of several upstreams together: no upstream could give it, and clients offer what stands in it.

`forward` answers `GET /v1/models` with it where there are several upstreams. With one, its own answer passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from exporter.proxy.headers import Headers, find
from exporter.routing.fleet import Fleet

PATH = "/v1/models"


def is_asked_for(fleet: Fleet, method: str, path: str) -> bool:
    """Whether a request asks for the list."""
    return path == PATH and method in ("GET", "HEAD") and fleet.has_choice


def model_list(fleet: Fleet, created: int) -> bytes:
    """OpenAI's form: `{"object": "list", "data": [{"id", "object", "created", "owned_by"}]}`.

    First the aliases, which leave the choice to the sidecar, then the models in the order of the configuration, each
    name once. `created` is in seconds since the epoch.
    """
    return json.dumps({"object": "list", "data": list(_entries(fleet, created))}).encode()


def allowed_origin(headers: Headers) -> Headers:
    """Pages of any origin may read the list, as they may read llama-server's."""
    origin = find(headers, b"origin")
    return [] if origin is None else [(b"access-control-allow-origin", origin)]


def _entries(fleet: Fleet, created: int) -> Iterator[dict[str, Any]]:
    owners = dict.fromkeys(fleet.aliases, "llama-exporter")
    for backend in fleet.layout.backends:
        for name in filter(None, (backend.model, *sorted(backend.upstream.models))):
            owners.setdefault(name, backend.upstream.provider)
    for name, owner in owners.items():
        yield {"id": name, "object": "model", "created": created, "owned_by": owner}
