"""The models of an upstream in router mode (`/props` says `"role": "router"`). Owned by `llama_server`.

A router loads what it is asked for. So every question about one model carries `autoload=false`, and only models that
it lists as loaded are asked. Measured on build 11434: with `autoload=false` an unloaded model is answered with 400 and
stays unloaded, and asking `/props`, `/metrics` or `/slots` of a model does not change which one has to make room next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.system.answers import Endpoints
from exporter.system.model_facts import ListedModel, Props, describe, parse_models, parse_props
from exporter.system.model_watch import HARMLESS_METRICS_BUILD, ModelWatch, Terms
from exporter.system.snapshot import ANSWERING, ModelSnapshot, ModelState

PROPS_SECONDS = 60.0
"""How long a model's `/props` is believed where it cannot say that the model sleeps."""


class RouterModel:
    """One model that a router lists."""

    def __init__(self, endpoints: Endpoints, model_id: str) -> None:
        self._endpoints = endpoints
        self._id = model_id
        self._watch = ModelWatch(endpoints, model_id)
        self._props: Props | None = None
        self._props_at: float | None = None

    async def read(
        self, now: float, listed: ListedModel, last_activity: float | None, *, ask_idle: bool
    ) -> ModelSnapshot | None:
        """Its state now. Raises NoConnectionError."""
        if listed.state not in ANSWERING:
            self._watch = ModelWatch(self._endpoints, self._id)
            self._props, self._props_at = None, None
            return self._described(listed, listed.state)
        fresh = await self._ask_props(now, listed)
        asleep = listed.state is ModelState.SLEEPING or (self._props is not None and bool(self._props.sleeping))
        terms = self._terms(listed, last_activity, ask_idle=ask_idle)
        if asleep:
            await self._watch.look_at_sleeper(terms)
        elif fresh or not terms.may_sleep:
            await self._watch.look(now, terms)
        model = self._described(listed, ModelState.SLEEPING if asleep else ModelState.LOADED)
        return self._watch.add_to(model) if model is not None else None

    def _described(self, listed: ListedModel, state: ModelState) -> ModelSnapshot | None:
        model = describe(listed, self._props, state)
        return replace(model, routed_name=self._id) if model is not None else None

    async def _ask_props(self, now: float, listed: ListedModel) -> bool:
        """Whether `_props` is from this very moment. Asked every time where sleep is possible: older routers list a
        sleeping model as loaded, and `/slots` would wake it."""
        believed = listed.state is ModelState.SLEEPING or self._cannot_sleep(listed)
        if believed and self._props_at is not None and now - self._props_at < PROPS_SECONDS:
            return False
        answer = await self._endpoints.feature("/props", self._id)
        props = parse_props(answer.document()) if answer is not None and answer.status == 200 else None
        if props is None:
            return False
        self._props, self._props_at = props, now
        return True

    def _cannot_sleep(self, listed: ListedModel) -> bool:
        if listed.sleep_seconds is not None:
            return listed.sleep_seconds == 0
        return self._props is not None and self._props.sleeping is None

    def _terms(self, listed: ListedModel, last_activity: float | None, *, ask_idle: bool) -> Terms:
        build = self._props.build_number if self._props is not None else None
        return Terms(
            may_sleep=not ask_idle and not self._cannot_sleep(listed),
            metrics_harmless=build is not None and build >= HARMLESS_METRICS_BUILD,
            last_activity=last_activity,
        )


class Router:
    """Every model of one router."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        last_activity: Callable[[], float | None] = lambda: None,
        last_model_activity: Callable[[str], float | None] | None = None,
        ask_idle: bool = False,
    ) -> None:
        self._endpoints = endpoints
        self._last_activity = last_activity
        self._last_model_activity = last_model_activity
        self._ask_idle = ask_idle
        self._by_id: dict[str, RouterModel] = {}
        self.models: tuple[ModelSnapshot, ...] = ()
        """As of the last `read`."""

    async def read(self, now: float) -> bool:
        """Bring `models` up to date; without a readable list they stay, and it is False. Raises NoConnectionError."""
        answer = await self._endpoints.feature("/models")
        listed = parse_models(answer.document()) if answer is not None and answer.status == 200 else None
        if listed is None:
            return False
        self._by_id = {
            model.id: self._by_id.get(model.id) or RouterModel(self._endpoints, model.id) for model in listed
        }
        awake = sum(model.state is ModelState.LOADED for model in listed)
        read = [
            await self._by_id[model.id].read(
                now, model, self._activity_of(model.id, alone=awake == 1), ask_idle=self._ask_idle
            )
            for model in listed
        ]
        self.models = tuple(model for model in read if model is not None)
        return True

    def forget(self) -> None:
        """The server is gone; whatever answers next may be another."""
        self._by_id, self.models = {}, ()

    def _activity_of(self, model_id: str, *, alone: bool) -> float | None:
        """Activity of the upstream counts for a model only while no other is awake: else one busy model would keep all
        others from sleeping."""
        if self._last_model_activity is not None:
            return self._last_model_activity(model_id)
        return self._last_activity() if alone else None
