"""The order in which upstreams are considered: a pure function of what is asked for, what is served, who is well."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from exporter.routing.upstream import Upstream


def candidates(
    upstreams: Sequence[Upstream],
    requested_model: str | None,
    served: Mapping[str, frozenset[str]],
    down: Collection[str] = (),
) -> Sequence[Upstream]:
    """Upstreams, best first: those that are not `down`, among them those that serve the requested model; then in
    configured order.

    `served` maps an upstream's name to the model names it answers to; upstreams not in it are not known yet.
    """

    def rank(upstream: Upstream) -> tuple[bool, bool]:
        serves = requested_model is not None and requested_model in served.get(upstream.name, frozenset())
        return upstream.name in down, not serves

    return upstreams if len(upstreams) == 1 else sorted(upstreams, key=rank)
