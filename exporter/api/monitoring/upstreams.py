"""The shape of the llama-servers, one by one, as they were sampled last."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.api.monitoring.documents import Upstream
from exporter.api.views import UpstreamView, Views
from exporter.system.llama_server import collector_name
from exporter.system.snapshot import ANSWERING, LlamaServerSnapshot, ModelSnapshot, ModelState, Snapshot
from exporter.system.summary import over
from exporter.utc import utc


def upstreams(views: Views) -> list[Upstream]:
    """All of them, in configured order."""
    snapshot, since = views.snapshot(), views.since()
    return [_upstream(each, views, snapshot, since) for each in views.upstreams]


def _upstream(view: UpstreamView, views: Views, snapshot: Snapshot, since: Mapping[str, float]) -> Upstream:
    server, wall = snapshot.servers.get(view.name), views.wall()
    models = server.models if server is not None and server.up else ()
    loaded = [model for model in models if model.state is ModelState.LOADED]
    total = over(sum, [model.context_tokens for model in loaded])
    return {
        "name": view.name,
        "tiers": _tiers(view, server),
        "up": server.up if server is not None else None,
        "state": server.state if server is not None else None,
        "since": utc(min(since[view.name], wall)) if server is not None and view.name in since else None,
        "reason": server.error if server is not None else None,
        "sampled_at": _sampled_at(view.name, views, snapshot),
        "router": server is not None and server.router,
        "models": len(server.models) if server is not None else 0,
        "models_loaded": sum(model.state in ANSWERING for model in models),
        "slots": over(sum, [model.slot_count for model in models]),
        "slots_busy": over(sum, [model.busy_slots for model in models]),
        "requests_deferred": over(sum, [model.requests_deferred for model in models]),
        "context_tokens": total,
        "context_tokens_used": over(sum, [used_context(model) for model in loaded]),
    }


def used_context(model: ModelSnapshot) -> int | None:
    """Tokens in its slots that work; no more than there is room for, and None where that is not known."""
    total, used = model.context_tokens, model.context_tokens_used
    return None if total is None or used is None else min(used, total)


def _tiers(view: UpstreamView, server: LlamaServerSnapshot | None) -> list[str]:
    if server is not None:
        return list(server.tiers)
    return [view.tier] if view.tier is not None else []


def _sampled_at(upstream: str, views: Views, snapshot: Snapshot) -> str | None:
    status = snapshot.collectors.get(collector_name(upstream))
    if status is None or status.sampled_at is None:
        return None
    return utc(views.wall() - max(views.clock() - status.sampled_at, 0.0))
