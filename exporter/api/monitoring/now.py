"""The shape of `/monitoring/now`: what is happening, as the read-models have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import NamedTuple

from exporter.api.monitoring.documents import InFlight, Now
from exporter.api.monitoring.figures import STEPS, Summaries, amount, figures, tier_figures, trend
from exporter.api.monitoring.upstreams import upstreams
from exporter.api.views import Views
from exporter.observe.observation import Observation
from exporter.utc import utc

MOST_IN_FLIGHT = 200


class Proxy(NamedTuple):
    """What clients talk to."""

    host: str
    port: int
    keys: bool
    """Whether they need a key."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page tells of the configuration."""

    keys: bool
    """Whether keys are configured, so that people sign in."""
    proxy: Proxy
    streams: bool
    """Whether there is a stream of the requests in flight."""
    sample_seconds: Callable[[], float]
    """Between two samples of the machine and the llama-servers; can be changed at run time."""


def now(views: Views, facts: Facts, summaries: Summaries) -> Now:
    """All of it. The summaries are of each of `views.tiers`, and of all requests."""
    clock, wall = views.clock(), views.wall()
    return {
        "version": views.version,
        "instance": views.instance,
        "timestamp": utc(wall),
        "started_at": utc(wall - max(clock - views.started, 0.0)),
        "sample_seconds": facts.sample_seconds(),
        "servers_sampled": views.servers_sampled,
        "recording": views.recording,
        "history": views.past is not None,
        "streams": facts.streams,
        "keys": facts.keys,
        "proxy": {"host": facts.proxy.host, "port": facts.proxy.port, "keys": facts.proxy.keys},
        "figures": figures(summaries[None]),
        "trend": trend(views.windows.recent(clock, wall, STEPS)),
        "tiers": [tier_figures(tier, summaries[tier]) for tier in views.tiers],
        "in_flight": in_flight(views.active.asking()),
        "upstreams": upstreams(views),
    }


def in_flight(asking: Iterable[Observation]) -> list[InFlight]:
    """The newest, in the order of `/metrics/active-requests`."""
    newest = nsmallest(MOST_IN_FLIGHT, asking, key=lambda each: (-each.started_at, -each.started, each.request_id))
    return [_in_flight(observation) for observation in newest]


def _in_flight(observation: Observation) -> InFlight:
    first = observation.first_token_at
    return {
        "request_id": observation.request_id,
        "tier": observation.tier,
        "upstream": observation.upstream,
        "ttft_seconds": None if first is None else amount(first - observation.started),
        "output_tokens_per_second": amount(observation.tokens_per_second_so_far),
    }
