"""Servers, layouts and requests in short, for the tests of who is chosen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from exporter.record import Complexity
from exporter.routing.backend import Backend
from exporter.routing.layout import Layout
from exporter.routing.request import Request, read_request
from exporter.routing.tiers import TierOrder
from exporter.routing.upstream import Upstream
from exporter.settings.routing import UNKNOWN_TIER

TIER_OF_LEVEL: Mapping[Complexity, str] = {
    Complexity.SIMPLE: "Q2",
    Complexity.MODERATE: "Q3",
    Complexity.COMPLEX: "Q4",
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def upstream(name: str, *, weight: float = 1.0, models: Iterable[str] = (), tier: str | None = None) -> Upstream:
    url = httpx.URL(f"http://{name}.internal:8080")
    return Upstream(name, url, tier=tier, models=frozenset(models), weight=weight)


def server(name: str, tier: str, *names: str, weight: float = 1.0, **facts: Any) -> Backend:
    """A llama-server with one model."""
    return Backend(name, upstream(name, weight=weight), tier=tier, names=frozenset(names), **facts)


def model(router: Upstream, name: str, tier: str, *names: str, **facts: Any) -> Backend:
    """One model of a llama-server in router mode."""
    return Backend(
        f"{router.name}/{name}", router, tier=tier, names=frozenset((name, *names)), routed_model=name, **facts
    )


def layout(
    *backends: Backend, tier_of_level: Mapping[Complexity, str] = TIER_OF_LEVEL, routers: Iterable[Upstream] = ()
) -> Layout:
    """In configured order; `routers`: those that list no model."""
    by_upstream: dict[str, list[Backend]] = {}
    for backend in backends:
        by_upstream.setdefault(backend.upstream.name, []).append(backend)
    doors = [_door(members) for members in by_upstream.values()]
    empty = [Backend(router.name, router, tier=router.tier or UNKNOWN_TIER) for router in routers]
    return Layout(backends, (*doors, *empty), TierOrder(("Q2", "Q3", "Q4")), tier_of_level)


def _door(backends: Sequence[Backend]) -> Backend:
    """What stands for an upstream as a whole."""
    first = backends[0]
    if first.routed_model is None:
        return first
    tiers = {backend.tier for backend in backends}
    return Backend(first.upstream.name, first.upstream, tier=tiers.pop() if len(tiers) == 1 else UNKNOWN_TIER)


def change(before: Layout, changes: Mapping[str, Mapping[str, Any]]) -> Layout:
    """The same with other facts of some backends, by id."""
    return layout(*(replace(backend, **changes.get(backend.id, {})) for backend in before.backends))


def ask(
    named: str | None = None,
    *,
    tier: str | None = None,
    tokens: int = 10,
    images: bool = False,
    audio: bool = False,
    tools: bool = False,
) -> Request:
    """A chat request, of about as many `tokens`."""
    text = {"type": "text", "text": "word" * tokens}
    content = [text, *([IMAGE] if images else ()), *([AUDIO] if audio else ())]
    document: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    if tools:
        document["tools"] = [TOOL]
    return read("chat", True, named, document, tier)


def ask_other(operation: str, named: str | None = None, *, tier: str | None = None) -> Request:
    """One that generates no text."""
    inference = operation in {"embeddings", "rerank"}
    return read(operation, inference, named, {"input": "one"} if inference else None, tier)


def read(
    operation: str, inference: bool, named: str | None, document: dict[str, Any] | None, tier: str | None = None
) -> Request:
    if document is not None and named is not None:
        document = {"model": named, **document}
    return read_request(
        operation=operation,
        inference=inference,
        model=named,
        document=document,
        request_bytes=len(json.dumps(document)) if document is not None else 0,
        headers=[(b"x-routing-tier", tier.encode())] if tier is not None else [],
    )
