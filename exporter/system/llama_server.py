"""The poller of one upstream: is it well, what does it serve, how busy is it. `sampler` has one per upstream.

`model_watch` says why some endpoints are asked less often than others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import httpx

from exporter.system.answers import REFUSED_STATUSES, Endpoints, KeyRefusedError, NoConnectionError
from exporter.system.health_check import Health, ask_health
from exporter.system.model_facts import Props, parse_props
from exporter.system.router import Router
from exporter.system.single_model import SingleModel
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ServerState


def collector_name(upstream: str) -> str:
    """Of the collector that polls an upstream."""
    return f"llama_server:{upstream}"


class LlamaServerCollector:
    """Polls one upstream; an upstream that cannot be reached is a good answer, not a failure of the collector."""

    def __init__(
        self,
        upstream: str,
        tier_of: Callable[[str | None], str],
        base_url: str,
        client: httpx.AsyncClient,
        *,
        api_key: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        last_activity: Callable[[], float | None] = lambda: None,
        last_model_activity: Callable[[str], float | None] | None = None,
        ask_idle: bool = False,
    ) -> None:
        """Take what identifies the upstream, and how much may be asked of an idle one.

        `tier_of` gives the tier of a model from its quantization, or from None where that is not known.
        `last_activity` gives the time (of `clock`) of the last request proxied to this upstream, and now while one is
        in flight; `last_model_activity` does so for one model of a router. `ask_idle` asks `/slots` and `/metrics` of
        an idle model too: right for a server that was not told to sleep, when requests by-pass the sidecar.
        """
        self.name = collector_name(upstream)
        self._upstream = upstream
        self.longest_interval_seconds = math.inf
        self._tier_of = tier_of
        self._tiers: tuple[str, ...] = (tier_of(None),)
        self._clock = clock
        self._last_activity = last_activity
        self._endpoints = Endpoints(client, base_url, api_key=api_key, clock=clock)
        self._single = SingleModel(self._endpoints, last_activity=last_activity, ask_idle=ask_idle)
        self._router = Router(
            self._endpoints,
            last_activity=last_activity,
            last_model_activity=last_model_activity,
            ask_idle=ask_idle,
        )
        self._build: str | None = None
        self._is_router = False

    async def collect(self) -> LlamaServerSnapshot:
        """Ask what may be asked now, one endpoint after the other: a llama-server has few threads for HTTP."""
        try:
            return await self._snapshot_for(await ask_health(self._endpoints, self._is_working))
        except NoConnectionError as error:
            return self._gone(Health(ServerState.UNREACHABLE, error=str(error)))
        except KeyRefusedError as error:
            return self._gone(Health(ServerState.ERROR, error=str(error)))

    async def close(self) -> None:
        """Nothing is held that is our own: the client belongs to whoever made it."""

    async def _snapshot_for(self, health: Health) -> LlamaServerSnapshot:
        if health.state is ServerState.UNREACHABLE or health.state is ServerState.ERROR:
            return self._gone(health)
        if health.state is ServerState.BUSY:
            return self._snapshot(health, self._router.models if self._is_router else self._single.models)
        if health.state is ServerState.LOADING:
            self._endpoints.forget()
            self._single.load()
            return self._snapshot(health, self._single.models)
        answer = await self._endpoints.feature("/props")
        if answer is not None and answer.status in REFUSED_STATUSES:
            raise KeyRefusedError
        props = parse_props(answer.document()) if answer is not None and answer.status == 200 else None
        if props is not None:
            self._build, self._is_router = props.build, props.router
        alive = await self._read_models(props, list_now=health.state is None and props is None)
        if health.state is None:
            health = Health(ServerState.READY if alive else ServerState.ERROR, health.seconds, health.error)
        return self._snapshot(health, self._router.models if self._is_router else self._single.models)

    def _is_working(self) -> bool:
        """Whether a request of ours is in flight there: then its last activity is now."""
        now = self._clock()
        last = self._last_activity()
        return last is not None and last >= now

    async def _read_models(self, props: Props | None, *, list_now: bool) -> bool:
        """Whether the answers are those of a server that serves models."""
        now = self._clock()
        if self._is_router:
            return await self._router.read(now) or props is not None
        return await self._single.read(now, props, list_now=list_now) or props is not None

    def _gone(self, health: Health) -> LlamaServerSnapshot:
        """Nothing more can be said of the models, and nothing that was learnt may be kept for the next server here."""
        self._endpoints.forget()
        self._single.forget()
        self._router.forget()
        self._build, self._is_router = None, False
        return self._snapshot(health, ())

    def _snapshot(self, health: Health, models: tuple[ModelSnapshot, ...]) -> LlamaServerSnapshot:
        state = health.state or ServerState.ERROR
        models = tuple(replace(model, tier=self._tier_of(model.quantization)) for model in models)
        self._tiers = tuple(dict.fromkeys(model.tier for model in models)) or self._tiers
        return LlamaServerSnapshot(
            upstream=self._upstream,
            tiers=self._tiers,
            state=state,
            health_seconds=health.seconds,
            router=self._is_router,
            build=self._build,
            models=models,
            error=None if state is ServerState.READY else health.error,
        )
