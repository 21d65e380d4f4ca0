"""The order in which upstreams are considered for a request: a pure function of what was asked for and what is
served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.routing.upstream import Upstream


def candidates(
    upstreams: Sequence[Upstream], requested_model: str | None, served: Mapping[str, frozenset[str]]
) -> Sequence[Upstream]:
    """Upstreams, best first: those that serve the requested model, then the others; each group in configured order.

    `served` maps an upstream's name to the model names it answers to; upstreams not in it are not known yet.
    """
    if len(upstreams) == 1 or requested_model is None:
        return upstreams
    return sorted(upstreams, key=lambda upstream: requested_model not in served.get(upstream.name, frozenset()))
