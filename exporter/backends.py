"""What settings and samples mean for routing: the rooms `system`, `routing` and `api` do not know
each other.

`app` translates with it.
"""

from __future__ import annotations

import httpx

from exporter.api.views import UpstreamView
from exporter.routing.backend import Backend
from exporter.routing.health import CheckState
from exporter.routing.tiers import tier_of
from exporter.routing.upstream import Upstream
from exporter.settings import UpstreamSettings
from exporter.settings.routing import UNKNOWN_TIER
from exporter.system.snapshot import ANSWERING, LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState

CHECKS = {ServerState.READY: CheckState.UP, ServerState.LOADING: CheckState.LOADING}


def make_upstream(settings: UpstreamSettings) -> Upstream:
    """An upstream as it was configured."""
    return Upstream(
        name=settings.name,
        url=httpx.URL(settings.url),
        tier=settings.tier,
        provider=settings.provider,
        models=frozenset(settings.models),
        weight=settings.weight,
        api_key=settings.api_key.get_secret_value() if settings.api_key else None,
    )


def view_upstream(upstream: Upstream) -> UpstreamView:
    """An upstream as the rooms may show it."""
    url = upstream.url
    port = url.port or (443 if url.scheme == "https" else 80)
    return UpstreamView(upstream.name, upstream.provider, upstream.tier, port)


def tell_tier(configured: str | None, quantization: str | None) -> str:
    """The tier of a model: as its upstream was configured, else as its quantization says."""
    return configured or tier_of(quantization) or UNKNOWN_TIER


def read_check(state: ServerState) -> CheckState | None:
    """What a health check means for routing; None when it tells nothing."""
    return None if state is ServerState.BUSY else CHECKS.get(state, CheckState.DOWN)


def has_several(server: LlamaServerSnapshot) -> bool:
    """Whether its models must be asked for by name."""
    return server.router or len(server.models) > 1


def make_backends(upstream: Upstream, server: LlamaServerSnapshot) -> tuple[Backend, ...]:
    """What a server has; nothing when it did not tell."""
    several = has_several(server)
    return tuple(_backend(upstream, model, several=several) for model in server.models)


def _backend(upstream: Upstream, model: ModelSnapshot, *, several: bool) -> Backend:
    """Where there are several models, each must be asked for by its own name; a single one answers to any."""
    return Backend(
        id=f"{upstream.name}/{model.id}" if several else upstream.name,
        upstream=upstream,
        tier=model.tier,
        model=model.id,
        names=frozenset((model.id, *model.aliases)) | (frozenset() if several else upstream.models),
        routed_model=(model.routed_name or model.id) if several else None,
        slots=model.total_slots,
        context_size=model.context_size,
        vision=model.vision,
        audio=model.audio,
        tools=model.tools,
        loaded=model.state in ANSWERING or not several,
        asleep=model.state is ModelState.SLEEPING,
    )
