"""The llama-servers behind the sidecar: what is known of each, how busy it is, who is well; the owner of all routing
state.

`app` tells it what was sampled, the traffic path asks it for a plan for each request and reports how it went.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from exporter.errors import RoutingError
from exporter.record import Complexity, Decision
from exporter.routing.affinity import Affinity
from exporter.routing.backend import Backend, Candidate, Plan
from exporter.routing.choice import Choice, NoneAvailableError, Policy, Standing, choose, choose_other
from exporter.routing.complexity import Scorer
from exporter.routing.health import CheckState, Condition, Health
from exporter.routing.layout import Layout
from exporter.routing.prompt import find_plain_text
from exporter.routing.request import Request, read_request, read_routing_headers
from exporter.routing.tiers import TierOrder
from exporter.routing.upstream import Upstream
from exporter.routing.use import Traffic, Use
from exporter.settings.routing import UNKNOWN_TIER, RoutingSettings

SHORTEST_RETRY_SECONDS = 1


class RequestFacts(Protocol):
    """What a request is known to ask for; an `Observation` is one."""

    @property
    def operation(self) -> str:
        """chat, embeddings, ..."""

    @property
    def inference(self) -> bool:
        """Whether it runs a model."""

    @property
    def requested_model(self) -> str | None:
        """`model`, as sent."""

    @property
    def request_json(self) -> Mapping[str, Any] | None:
        """The body, when it is a JSON object."""

    @property
    def request_bytes(self) -> int:
        """Size of the body."""


class NobodyError(RoutingError):
    """No upstream that could take the request is well."""

    status = 503
    type = "no_upstream_available"

    def __init__(self, retry_seconds: int, wanted_tier: str, reason: str) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds
        self.wanted_tier = wanted_tier


class Fleet:
    """All upstreams."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        settings: RoutingSettings | None = None,
        *,
        checked: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`checked`: whether there are health checks; without them failures alone tell who is well."""
        settings = settings or RoutingSettings()
        self.upstreams = tuple(upstreams)
        self._clock = clock
        self._aliases = settings.aliases
        self._policy = Policy(
            aliases=frozenset(settings.aliases),
            fallback=settings.fallback,
            load_models=settings.load_models,
            refuse_unknown_models=settings.unknown_models == "refuse",
        )
        self._scorer = Scorer(settings.complexity)
        self._order = TierOrder(settings.tiers)
        self._tier_of_level = _tiers_of_levels(settings)
        self._affinity = Affinity() if settings.affinity else None
        self._usual: dict[Complexity, Choice] = {}
        """Choices for plain requests, as long as everybody is as well as when they were made..."""
        self._usual_until = math.inf
        """... and not beyond this time."""
        self._health = {each.name: Health(each.name, checked, self._usual.clear) for each in upstreams}
        self._backends: dict[str, tuple[Backend, ...]] = {each.name: (_unseen(each),) for each in upstreams}
        self._routers: set[str] = set()
        self._traffic: dict[str, Traffic] = {}
        self._routed: dict[tuple[str, str], Traffic] = {}
        """The same of models of routers: by upstream, and the name that the router knows."""
        self.layout: Layout
        """As the upstreams last described themselves."""
        self._lay_out()

    # What the upstreams say

    def checked(self, upstream: str, state: CheckState) -> None:
        """A health check of an upstream ended."""
        self._health[upstream].checked(self._clock(), state)

    def described(self, upstream: str, backends: tuple[Backend, ...], *, router: bool) -> None:
        """An upstream told what it has. What it said before stands as long as it tells nothing."""
        was_router = upstream in self._routers
        if backends and (backends != self._backends[upstream] or router != was_router):
            self._backends[upstream] = backends
            (self._routers.add if router else self._routers.discard)(upstream)
            self._lay_out()

    @property
    def has_choice(self) -> bool:
        """Whether there are several upstreams."""
        return self._single is None

    def out_of_rotation(self) -> frozenset[str]:
        """Upstreams that get no requests now, by what checks and requests have shown."""
        return frozenset(self._down(self._clock()))

    @property
    def aliases(self) -> tuple[str, ...]:
        """Model names that leave the choice to us, in configured order."""
        return self._aliases

    @property
    def tiers(self) -> tuple[str, ...]:
        """Tiers known to have somebody, where there is a choice at all."""
        return () if self._single is not None else tuple(t for t in self.layout.tiers if t != UNKNOWN_TIER)

    def _count_anew(self) -> None:
        for traffic in self._traffic.values():
            traffic.begun = 0

    # What the traffic asks

    def plan(self, asked: RequestFacts, headers: Sequence[tuple[bytes, bytes]], *, seen: bool) -> Plan:
        """Where a request may be sent. `seen`: its whole body was looked into.

        Raises RoutingError: NobodyError, or the client's mistakes RoutingHeaderError, UnknownTierError and
        UnknownModelError.
        """
        if self._single is not None and not self._leaves_choice(asked):
            return self._plan_single(asked, self._single)
        started = self._clock()
        try:
            text = self._plain_text(asked, headers) if seen else None
            if text is not None:
                return self._plan_plain(text, started)
            request = read_request(
                operation=asked.operation,
                inference=asked.inference,
                model=asked.requested_model,
                document=asked.request_json,
                request_bytes=asked.request_bytes,
                headers=headers,
            )
            if not request.generating:
                return Plan(choose_other(request, self.layout, self._standings(started), self._policy))
            return self._decide(request, started, seen=seen)
        except NoneAvailableError as none:
            raise NobodyError(self._retry_seconds(started), none.wanted_tier, self._why_nobody(started)) from None

    def begin(self, plan: Plan, candidate: Candidate, now: float) -> Use:
        """A request is about to be sent."""
        backend = candidate.backend
        if plan.affinity_key is not None and self._affinity is not None:
            self._affinity.remember(plan.affinity_key, backend.tier, backend.id)
        health = None if self._single is not None else self._health[backend.upstream.name]
        traffic = self._traffic.get(backend.id) or Traffic()  # its router may have dropped the model since the plan
        use = Use(traffic, health, now)
        if use.is_trial:
            self._count_anew()  # who comes back must not be given all requests until it has caught up with the others
        return use

    def is_well(self, candidate: Candidate, now: float) -> bool:
        """Whether it still may be tried, some time after the plan was made."""
        return self._health[candidate.backend.upstream.name].condition(now) is not Condition.DOWN

    def last_used(self, upstream: str, model: str, now: float) -> float | None:
        """When a request was last sent to a model of a router; `now` while one is there, None when never."""
        traffic = self._routed.get((upstream, model))
        return None if traffic is None else now if traffic.in_flight else traffic.last_begun_at

    def _plain_text(self, asked: RequestFacts, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """The words of the user, where nothing but their complexity, and who is well, decides where a request goes.

        So it is for most: it names no tier and no model, needs nothing special, has room everywhere, and no tier has
        two servers to choose from.
        """
        layout, model = self.layout, asked.requested_model
        if layout.has_peers or (model is not None and model not in self._policy.aliases):
            return None
        if asked.request_bytes >= layout.smallest_context or read_routing_headers(headers):
            return None  # a token takes more than one byte
        return find_plain_text(asked.operation, asked.request_json)

    def _plan_plain(self, text: str, started: float) -> Plan:
        """What `_decide` would say, from a choice that is made once and for all who are as complex."""
        score = self._scorer.score(text)
        level = self._scorer.level(score)
        choice = self._usual.get(level) if started < self._usual_until else None
        if choice is None:
            choice = self._choose_usual(level, started)
        candidates, reason, wanted_tier, fallback = choice
        return Plan(candidates, Decision(reason, level, score, wanted_tier, fallback, self._clock() - started))

    def _choose_usual(self, level: Complexity, now: float) -> Choice:
        if now >= self._usual_until:
            self._usual.clear()
        choice = choose(Request("chat"), level, self.layout, self._standings(now), self._policy)
        self._usual[level] = choice
        self._usual_until = min(health.next_change(now) for health in self._health.values())
        return choice

    def _decide(self, request: Request, started: float, *, seen: bool) -> Plan:
        level, score = self._assess(request, seen=seen)
        key = request.conversation if self._affinity is not None and self.layout.has_peers else None
        standings = self._standings(started)
        choice = choose(request, level, self.layout, standings, self._policy, favourite=self._favourite(key))
        candidates = choice.candidates if seen else _as_they_are(choice.candidates)
        decision = Decision(
            reason=choice.reason,
            complexity=level,
            score=score,
            wanted_tier=choice.wanted_tier,
            fallback=choice.fallback or candidates[0].backend.tier != choice.wanted_tier,
            seconds=self._clock() - started,
        )
        return Plan(candidates, decision, key)

    def _assess(self, request: Request, *, seen: bool) -> tuple[Complexity, float | None]:
        """What the client knows goes before what we make out. A body that nobody looked into is a long one."""
        score = request.score
        if request.complexity is not None:
            return request.complexity, score
        if score is None:
            if not seen:
                return Complexity.COMPLEX, None
            score = self._scorer.score(request.text)
        return self._scorer.level(score), score

    def _favourite(self, key: int | None) -> Callable[[str], str | None]:
        affinity = self._affinity
        if key is None or affinity is None:
            return _nobody
        return lambda tier: affinity.find(key, tier)

    # One upstream alone is transparent

    def _leaves_choice(self, asked: RequestFacts) -> bool:
        """Whether the request names an alias where a single router has models to choose from."""
        return bool(self._routers) and asked.requested_model in self._policy.aliases

    def _plan_single(self, asked: RequestFacts, single: Plan) -> Plan:
        """Whatever it asks for and however the upstream is, it goes there as it came; the tier is the model's."""
        if asked.requested_model is None or not self._routers:
            return single
        serving = self.layout.by_name.get(asked.requested_model)
        return Plan((Candidate(serving[0]),)) if serving else single

    def _lay_out(self) -> None:
        backends = tuple(backend for each in self.upstreams for backend in self._backends[each.name])
        doors = tuple(self._door(each) for each in self.upstreams)
        self.layout = Layout(backends, doors, self._order, self._tier_of_level)
        self._single = Plan((Candidate(doors[0]),)) if len(doors) == 1 else None
        self._traffic = {each.id: self._traffic.get(each.id) or Traffic() for each in self.layout.members}
        routed = ((each.upstream.name, each.routed_model, each.id) for each in reversed(backends))
        self._routed = {(upstream, model): self._traffic[own] for upstream, model, own in routed if model is not None}
        self._usual.clear()
        self._count_anew()  # a model that has just come would be given everything otherwise

    def _door(self, upstream: Upstream) -> Backend:
        backends = self._backends[upstream.name]
        if upstream.name not in self._routers:
            return backends[0]
        tiers = {backend.tier for backend in backends}
        tier = tiers.pop() if len(tiers) == 1 else upstream.tier or UNKNOWN_TIER
        return Backend(upstream.name, upstream, tier=tier, names=upstream.models)

    def _standings(self, now: float) -> dict[str, Standing]:
        return {
            backend.id: Standing(
                self._health[backend.upstream.name].condition(now),
                self._traffic[backend.id].in_flight,
                self._traffic[backend.id].begun,
            )
            for backend in self.layout.members
        }

    def _why_nobody(self, now: float) -> str:
        """Names upstreams, never addresses."""
        down = self._down(now)
        if len(down) == len(self._health):
            return f"no upstream is available: {', '.join(down)} cannot be reached, or are not ready"
        if not any(backend.loaded for backend in self.layout.backends):
            return "no model is loaded; name one, or load one (`routing.load_models` lets the sidecar do so)"
        return "no upstream that may answer this request is available" + (
            f"; not ready: {', '.join(down)}" if down else ""
        )

    def _down(self, now: float) -> list[str]:
        """In configured order."""
        return [name for name, health in self._health.items() if health.condition(now) is Condition.DOWN]

    def _retry_seconds(self, now: float) -> int:
        times = [health.retry_at(now) for health in self._health.values()]
        waits = [at - now for at in times if at is not None]
        return max(SHORTEST_RETRY_SECONDS, math.ceil(min(waits, default=SHORTEST_RETRY_SECONDS)))


def _as_they_are(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Those who can have a body that cannot be rewritten, since it is not held; all, when nobody can."""
    return tuple(each for each in candidates if each.model is None) or candidates


def _nobody(_: str) -> None:
    return None


def _unseen(upstream: Upstream) -> Backend:
    """What is known of an upstream before it was looked at."""
    return Backend(upstream.name, upstream, tier=upstream.tier or UNKNOWN_TIER, names=upstream.models)


def _tiers_of_levels(settings: RoutingSettings) -> dict[Complexity, str]:
    """Without a word in the settings: the cheapest, the one in the middle, the most capable."""
    tiers, complexity = settings.tiers, settings.complexity
    return {
        Complexity.SIMPLE: complexity.simple_tier or tiers[0],
        Complexity.MODERATE: complexity.moderate_tier or tiers[len(tiers) // 2],
        Complexity.COMPLEX: complexity.complex_tier or tiers[-1],
    }
