"""Everything that is sampled on a timer, as the settings have it. `app` gives it to the sampler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import httpx

from exporter.backends import tell_tier
from exporter.live.active import ActiveRequests
from exporter.routing.upstream import Upstream
from exporter.settings import Settings
from exporter.system.amd import AmdCollector
from exporter.system.health_check import HealthCollector
from exporter.system.host import HostCollector
from exporter.system.index_files import IndexCollector
from exporter.system.llama_server import LlamaServerCollector
from exporter.system.nvidia import NvidiaCollector
from exporter.system.redis_memory import RedisCollector
from exporter.system.sampler import AsyncCollector, BlockingCollector

LastUsed = Callable[[str, str, float], float | None]
"""Of an upstream and one of its models, at a monotonic time: when it last worked for a client."""


def make_collectors(
    settings: Settings,
    upstreams: Sequence[Upstream],
    polls: httpx.AsyncClient,
    *,
    active: ActiveRequests,
    last_used: LastUsed,
    checks_health: bool,
) -> Iterator[BlockingCollector | AsyncCollector]:
    """All of them."""
    sampling = settings.sampling
    if sampling.host:
        yield HostCollector()
    if sampling.gpu:
        yield NvidiaCollector()
        yield AmdCollector()
    if sampling.index_paths:
        yield IndexCollector(sampling.index_paths)
    if sampling.redis_url is not None:
        yield RedisCollector(sampling.redis_url.get_secret_value())
    for each in upstreams if sampling.llama_server else ():
        if checks_health:
            yield HealthCollector(
                each.name,
                str(each.url),
                polls,
                interval_seconds=settings.routing.health_interval_seconds,
                is_working=partial(active.is_working, each.name),
                api_key=each.api_key,
            )
        yield LlamaServerCollector(
            each.name,
            partial(tell_tier, each.tier),
            str(each.url),
            polls,
            api_key=each.api_key,
            last_activity=partial(_last_request_at, active, each.name),
            last_model_activity=partial(_last_model_request_at, last_used, each.name),
        )


def _last_request_at(active: ActiveRequests, upstream: str) -> float | None:
    """Monotonic time at which an upstream last worked for a client."""
    return active.last_active(upstream, time.monotonic())


def _last_model_request_at(last_used: LastUsed, upstream: str, model: str) -> float | None:
    """The same for one model of an upstream that has several."""
    return last_used(upstream, model, time.monotonic())
