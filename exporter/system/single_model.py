"""The models of an upstream that is not a router: one llama-server with one model, or another OpenAI-compatible server.

Owned by `llama_server`, which asks `/health` and `/props` first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exporter.system.answers import REFUSED_STATUSES, Endpoints, KeyRefusedError
from exporter.system.model_facts import ListedModel, Props, describe, parse_models
from exporter.system.model_watch import HARMLESS_METRICS_BUILD, ModelWatch, Terms
from exporter.system.snapshot import ModelSnapshot, ModelState

LIST_SECONDS = 60.0
"""How long `/v1/models` is believed: it changes with the server's command line only."""


class SingleModel:
    """What one server serves, asked as seldom as its sleep requires."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        last_activity: Callable[[], float | None] = lambda: None,
        ask_idle: bool = False,
    ) -> None:
        self._endpoints = endpoints
        self._last_activity = last_activity
        self._ask_idle = ask_idle
        self._watch = ModelWatch(endpoints, None)
        self._listed: tuple[ListedModel, ...] | None = None
        self._listed_at: float | None = None
        self._props: Props | None = None
        self.models: tuple[ModelSnapshot, ...] = ()
        """As of the last `read`."""

    async def read(self, now: float, props: Props | None, *, list_now: bool = False) -> bool:
        """Bring `models` up to date; `props` is None when there was no answer. True when the list could be read.

        `list_now` asks for the list in any case: the server has no other sign of life. Otherwise it is not asked while
        the model sleeps, since not every build that sleeps lets it pass (only `/health` and `/props` always did).
        Raises NoConnectionError, KeyRefusedError.
        """
        known, self._props = self._props, props or self._props
        changed = props is not None and known is not None and _identity(props) != _identity(known)
        asleep_or_unknown = self._props is not None and (props is None or bool(props.sleeping))
        listed = False
        if list_now or (not asleep_or_unknown and (changed or self._is_list_old(now))):
            listed = await self._ask_list(now)
        await self._look(now, props)
        self.models = self._described()
        return listed

    def forget(self) -> None:
        """The server is gone; whatever answers next may be another."""
        self._watch = ModelWatch(self._endpoints, None)
        self._listed, self._listed_at, self._props, self.models = None, None, None, ()

    def load(self) -> None:
        """The server has been started again: the models known from before are being loaded."""
        self._watch, self._listed_at = ModelWatch(self._endpoints, None), None
        identities = (replace(model, state=ModelState.LOADING, slots=(), mirrored=()) for model in self.models)
        self.models = tuple(replace(model, requests_processing=None, requests_deferred=None) for model in identities)

    async def _ask_list(self, now: float) -> bool:
        answer = await self._endpoints.feature("/v1/models")
        if answer is not None and answer.status in REFUSED_STATUSES:
            raise KeyRefusedError
        listed = parse_models(answer.document()) if answer is not None and answer.status == 200 else None
        if listed is None:
            return False
        self._listed, self._listed_at = listed, now
        return True

    def _is_list_old(self, now: float) -> bool:
        return self._listed_at is None or now - self._listed_at >= LIST_SECONDS

    async def _look(self, now: float, props: Props | None) -> None:
        if self._props is not None and props is None:
            return  # it may have fallen asleep
        if self._props is None and not self._is_one_model():
            return  # whose slots would these be?
        terms = self._terms(props)
        if props is not None and props.sleeping:
            await self._watch.look_at_sleeper(terms)
        else:
            await self._watch.look(now, terms)

    def _is_one_model(self) -> bool:
        return len(self._listed or ()) == 1 and self._listed is not None and self._listed[0].state is ModelState.LOADED

    def _terms(self, props: Props | None) -> Terms:
        may_sleep = props is not None and props.sleeping is not None and not self._ask_idle
        build = props.build_number if props is not None else None
        return Terms(may_sleep, build is not None and build >= HARMLESS_METRICS_BUILD, self._last_activity())

    def _described(self) -> tuple[ModelSnapshot, ...]:
        listed = self._listed or ()
        if self._props is None and not self._is_one_model():
            found = [describe(model, None, model.state) for model in listed]
            return tuple(model for model in found if model is not None)
        asleep = self._props is not None and bool(self._props.sleeping)
        state = ModelState.SLEEPING if asleep else ModelState.LOADED
        model = describe(listed[0] if listed else None, self._props, state)
        return (self._watch.add_to(model),) if model is not None else ()


def _identity(props: Props) -> tuple[str | None, ...]:
    return (props.model_path, props.model_alias, props.build)
