"""Where a request goes: a pure function of what it asks for, what there is, and who is well.

`fleet` calls `choose` for every request where there is a choice. docs/routing.md says the same for users.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from exporter.errors import RoutingError
from exporter.record import Complexity, RoutingReason
from exporter.routing.backend import Backend, Candidate
from exporter.routing.health import Condition
from exporter.routing.layout import Groups, Layout, group
from exporter.routing.request import Request
from exporter.settings.routing import UNKNOWN_TIER

Place = tuple[int, bool, bool, bool, float, float]
"""Smaller is better."""

ASSUMED_SLOTS = 4
"""Of a server that does not tell: what llama-server chooses by itself."""


class UnknownTierError(RoutingError):
    """The client named a tier that is neither configured nor anybody's."""


class UnknownModelError(RoutingError):
    """The client named a model that nobody lists, and the operator wants such requests refused."""

    status = 404
    type = "model_not_found"


class NoneAvailableError(Exception):
    """Nobody who could take the request is well."""

    def __init__(self, wanted_tier: str = UNKNOWN_TIER) -> None:
        super().__init__(wanted_tier)
        self.wanted_tier = wanted_tier


class Standing(NamedTuple):
    """How a backend is doing now."""

    condition: Condition = Condition.READY
    in_flight: int = 0
    """Requests that we have there now."""
    begun: int = 0
    """Requests that we have ever sent there."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator wants."""

    aliases: frozenset[str] = frozenset(("auto",))
    fallback: Literal["any", "tier", "off"] = "any"
    load_models: bool = False
    refuse_unknown_models: bool = False


class Choice(NamedTuple):
    """The outcome."""

    candidates: tuple[Candidate, ...]
    """Best first, at least one; nobody twice."""
    reason: RoutingReason
    wanted_tier: str
    fallback: bool
    """The first is not of those that the request belongs to: none of them is well."""


def choose(
    request: Request,
    level: Complexity,
    layout: Layout,
    standings: Mapping[str, Standing],
    policy: Policy,
    *,
    favourite: Callable[[str], str | None] = lambda _: None,
) -> Choice:
    """Candidates for a request that generates text, best first.

    `standings` is by backend id. `favourite` gives, for a tier, the id of the backend that has the conversation in its
    cache. Raises UnknownTierError, NoneAvailableError.
    """
    serving = _serving(request, layout, policy)
    reason, wanted, pool = _pool(request, level, layout, policy, serving)
    pool = _fitting(request, pool)
    wanted, groups = _line_up(wanted, pool, layout)

    def place(backend: Backend) -> Place:
        return _place(backend, standings[backend.id], favourite)

    def in_order(groups: Groups) -> Iterator[Backend]:
        for same_tier in groups:
            able = [each for each in same_tier if _is_able(each, standings, policy, serving)]
            yield from able if len(able) < 2 else sorted(able, key=place)

    able = [*in_order(groups)]
    belonging = len(able)
    if others := _others(request, pool, layout, policy):
        able += in_order(_filtered(layout.lines[wanted], others, layout))
    if policy.fallback != "any":
        able = [backend for backend in able if backend.tier == wanted][: 1 if policy.fallback == "off" else None]
    if not able:
        raise NoneAvailableError(wanted)
    fallback = not belonging or able[0].tier != wanted
    return Choice(tuple([_candidate(request, backend, layout) for backend in able]), reason, wanted, fallback)


def choose_other(
    request: Request, layout: Layout, standings: Mapping[str, Standing], policy: Policy
) -> tuple[Candidate, ...]:
    """Candidates for a request that generates no text: no other model can answer in the place of the one it names.

    Embeddings and the like are shared out among those who serve the model; when nobody lists it, they stay with the
    first upstream: vectors of two models must not be mixed. Everything else goes to the first upstream that is well,
    in configured order, so that what is asked of one server is asked of the same one the next time. Raises
    NoneAvailableError.
    """
    serving = _serving(request, layout, policy)
    pool: Sequence[Backend] = serving or layout.doors
    if request.tier in layout.tiers:
        pool = [backend for backend in serving or layout.backends if backend.tier == request.tier] or pool
    if request.inference and not serving:
        pool = pool[:1]

    def place(backend: Backend) -> tuple[int, float]:
        standing = standings[backend.id]
        return standing.condition, _load(backend, standing.in_flight) if serving and request.inference else 0.0

    able = sorted((each for each in pool if _is_able(each, standings, policy, serving)), key=place)
    if not able:
        raise NoneAvailableError
    if policy.fallback == "off":
        able = able[:1]
    return tuple(Candidate(backend, _real_name(request, backend, policy)) for backend in able)


def _place(backend: Backend, standing: Standing, favourite: Callable[[str], str | None]) -> Place:
    """Among the backends of a tier: who is well and awake, has a free slot, has the conversation, has the least to do,
    and has had the least to do."""
    condition, in_flight, begun = standing
    is_full = in_flight >= (backend.slots or ASSUMED_SLOTS)
    return (
        condition,
        backend.asleep or not backend.loaded,
        is_full,
        is_full or favourite(backend.tier) != backend.id,
        _load(backend, in_flight),
        begun / backend.upstream.weight,
    )


def _load(backend: Backend, in_flight: int) -> float:
    """Requests in flight, for what it can take of them."""
    return in_flight / ((backend.slots or ASSUMED_SLOTS) * backend.upstream.weight)


def _serving(request: Request, layout: Layout, policy: Policy) -> tuple[Backend, ...]:
    """Who answers to the model that the client named."""
    if request.model is None or request.model in policy.aliases:
        return ()
    return layout.by_name.get(request.model, ())


def _pool(
    request: Request, level: Complexity, layout: Layout, policy: Policy, serving: tuple[Backend, ...]
) -> tuple[RoutingReason, str, Sequence[Backend]]:
    """Why, the wanted tier, and who comes first in question."""
    if request.tier is not None:
        if request.tier not in layout.tiers and request.tier not in layout.order.names:
            known = ", ".join(sorted({*layout.order.names, *layout.tiers}, key=layout.order.rank))
            raise UnknownTierError(f"there is no tier {request.tier[:40]!r}; there are {known}")
        return RoutingReason.TIER, request.tier, _of_tier(request, layout, serving)
    wanted = layout.tier_of_level[level]
    if serving:
        return RoutingReason.MODEL, wanted, serving
    if request.model is None or request.model in policy.aliases:
        return RoutingReason.COMPLEXITY, wanted, layout.backends
    if policy.refuse_unknown_models:
        raise UnknownModelError(f"no upstream has a model {request.model[:64]!r}; GET /v1/models lists those there are")
    # A name that nobody lists. A server that is no router takes any name; a router shall say itself that it has no such
    # model, for nobody asked for another.
    plain = [backend for backend in layout.backends if backend.routed_model is None]
    return RoutingReason.COMPLEXITY, wanted, plain or layout.doors


def _of_tier(request: Request, layout: Layout, serving: Sequence[Backend]) -> Sequence[Backend]:
    """Of the tier that the client named, those that answer to the model that it named, where there are some; all of
    all tiers, when the tier has nobody who could take the request."""
    tier = [each for each in layout.backends if each.tier == request.tier]
    preferred = [each for each in serving if each.tier == request.tier] or tier
    return preferred if any(_fits(request, each) for each in preferred) else layout.backends


def _fitting(request: Request, pool: Sequence[Backend]) -> Sequence[Backend]:
    """Those that can take what the request holds; all, when nobody can, and the server shall say so."""
    longest = request.at_most_tokens
    if not (request.images or request.audio or request.tools) and all(
        each.context_size is None or each.context_size > longest for each in pool
    ):
        return pool
    fitting = [each for each in pool if _fits(request, each)]
    if fitting:
        return fitting
    roomiest = max((each.context_size or 0 for each in pool), default=0)
    able = [each for each in pool if (each.context_size or 0) == roomiest and _takes(request, each)]
    return able or pool


def _takes(request: Request, backend: Backend) -> bool:
    return not (
        (request.images and backend.vision is False)
        or (request.audio and backend.audio is False)
        or (request.tools and backend.tools is False)
    )


def _fits(request: Request, backend: Backend) -> bool:
    size = backend.context_size
    return _takes(request, backend) and (size is None or request.at_most_tokens < size or request.prompt_tokens < size)


def _line_up(wanted: str, pool: Sequence[Backend], layout: Layout) -> tuple[str, Groups]:
    """The wanted tier, or the next in its fallback order that the pool has; and the pool, in the order from there."""
    groups = _filtered(layout.lines[wanted], pool, layout)
    if not groups:  # these are doors of routers
        nearest = layout.order.resolve(wanted, [backend.tier for backend in pool])
        return nearest, group(pool, layout.order, nearest)
    nearest = groups[0][0].tier
    return nearest, groups if nearest == wanted else _filtered(layout.lines[nearest], pool, layout)


def _filtered(groups: Groups, kept: Sequence[Backend], layout: Layout) -> Groups:
    """The groups without those who are not to be kept."""
    if kept is layout.backends:
        return groups
    ids = {backend.id for backend in kept}
    filtered = (tuple([backend for backend in same_tier if backend.id in ids]) for same_tier in groups)
    return tuple([each for each in filtered if each])


def _others(request: Request, pool: Sequence[Backend], layout: Layout, policy: Policy) -> Sequence[Backend]:
    """Who may answer when nobody of the pool can; nobody for a model that no router knows."""
    if policy.fallback == "off" or len(pool) == len(layout.backends):
        return ()
    ids = {backend.id for backend in pool}
    if not any(backend.id in ids for backend in layout.backends):
        return ()
    return [backend for backend in _fitting(request, layout.backends) if backend.id not in ids]


def _is_able(backend: Backend, standings: Mapping[str, Standing], policy: Policy, named: Collection[Backend]) -> bool:
    """A router loads a model that it is asked for; it is the client who decides on that by naming it."""
    if standings[backend.id].condition is Condition.DOWN:
        return False
    return backend.loaded or policy.load_models or any(backend is each for each in named)


def _candidate(request: Request, backend: Backend, layout: Layout) -> Candidate:
    if backend.routed_model is None or request.model in backend.names:
        return layout.unchanged[backend.id]
    return Candidate(backend, backend.routed_model)


def _real_name(request: Request, backend: Backend, policy: Policy) -> str | None:
    """For a request that generates nothing: only an alias has to be replaced."""
    return backend.routed_model if request.model in policy.aliases else None
