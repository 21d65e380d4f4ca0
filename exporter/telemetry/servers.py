"""Families about the llama-servers: tiers, health, models, slots.

`snapshot` calls it at each scrape with the newest samples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from exporter.system.availability import Availability
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState
from exporter.telemetry import catalog
from exporter.telemetry.guard import clean
from exporter.telemetry.sampled import Row, Sampled

Servers = Collection[LlamaServerSnapshot]


def server_families(servers: Servers, availability: Mapping[str, Availability]) -> Iterator[Sampled]:
    """Everything about the upstreams but what is mirrored from them."""
    total = tuple(((tier,), each.total) for tier, each in availability.items())
    yield Sampled(catalog.TIER_MODELS_CONFIGURED, total)
    known = tuple(((tier,), each.available) for tier, each in availability.items() if each.available is not None)
    yield Sampled(catalog.TIER_MODELS_AVAILABLE, known)
    yield Sampled(catalog.UPSTREAM_UP, _up(servers))
    yield Sampled(catalog.UPSTREAM_SLOTS, _of_models(servers, _slots))
    yield Sampled(catalog.UPSTREAM_CONTEXT_USED, _of_models(servers, _context))
    yield Sampled(catalog.UPSTREAM_MODEL_STATE, _of_models(servers, _states))
    yield Sampled(catalog.UPSTREAM_INFO, _of_models(servers, _info))


def in_flight_family(in_flight: Iterable[tuple[str, str | None, int]], servers: Servers) -> Sampled:
    """Requests being served: 0 for every tier of every known upstream, and more where there are some."""
    counts = {(tier, server.upstream): 0 for server in servers for tier in server.tiers}
    for tier, upstream, count in in_flight:
        labels = tier, upstream or ""
        counts[labels] = counts.get(labels, 0) + count
    return Sampled(catalog.REQUESTS_IN_FLIGHT, counts.items())


def _up(servers: Servers) -> Iterator[Row]:
    return (((server.upstream, tier), server.up) for server in servers for tier in server.tiers)


def _of_models(servers: Servers, rows: Callable[[LlamaServerSnapshot, ModelSnapshot], Iterator[Row]]) -> Iterator[Row]:
    return (row for server in servers for model in server.models for row in rows(server, model))


def _slots(server: LlamaServerSnapshot, model: ModelSnapshot) -> Iterator[Row]:
    total, processing = model.slot_count, model.busy_slots
    if total is None or processing is None:
        return
    name = clean(model.id)
    yield (server.upstream, name, "idle"), max(0, total - processing)
    yield (server.upstream, name, "processing"), processing


def _context(server: LlamaServerSnapshot, model: ModelSnapshot) -> Iterator[Row]:
    for slot in model.slots:
        if slot.context_size and slot.context_used is not None:
            yield (server.upstream, clean(model.id), str(slot.id)), slot.context_used / slot.context_size


def _states(server: LlamaServerSnapshot, model: ModelSnapshot) -> Iterator[Row]:
    name = clean(model.id)
    return (((server.upstream, name, state), state is model.state) for state in ModelState)


def _info(server: LlamaServerSnapshot, model: ModelSnapshot) -> Iterator[Row]:
    facts = (model.quantization, model.context_size, model.parameters, server.build)
    labels = ("" if fact is None else clean(str(fact)) for fact in facts)
    yield (server.upstream, model.tier, clean(model.id), *labels), 1
