"""What other upstreams have, sorted once for many questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from exporter.models import elsewhere as module
from exporter.models.elsewhere import Elsewhere, Sampled
from exporter.models.model import Registered, Status
from exporter.models.registry import Registry
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState
from tests.models.house import served


async def test_it_is_sorted_anew_only_when_something_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts: list[object] = []
    look = module._look

    def count(seen: module._Seen) -> Iterator[Sampled]:
        sorts.append(seen)
        return look(seen)

    monkeypatch.setattr(module, "_look", count)
    registry, servers, home = Registry(None), served(), ["other"]
    elsewhere = Elsewhere(registry, lambda: home[0], lambda: servers)
    assert elsewhere.now() is elsewhere.now()
    assert (list(elsewhere.now().free), elsewhere.now().names) == (["served"], {"served": "served", "also": "served"})
    servers["one"] = replace(servers["one"])
    assert list(elsewhere.now().free) == ["served"]
    await registry.put([Registered("a", path="/models/a.gguf")])
    assert elsewhere.now().claimed.keys() == {"a"}
    assert elsewhere.now().names == {"served": "a", "also": "a"}
    home[0] = "one"
    assert elsewhere.now() == ({}, {}, {})
    servers.clear()
    assert elsewhere.now() == ({}, {}, {})
    assert len(sorts) == 5


def test_of_two_upstreams_with_a_model_the_first_counts_and_its_names_are_those_of_both() -> None:
    def has(upstream: str, alias: str, state: ModelState) -> LlamaServerSnapshot:
        model = ModelSnapshot("m", state, aliases=(alias,))
        return LlamaServerSnapshot(upstream, ("unknown",), ServerState.READY, models=(model,))

    servers = {"one": has("one", "x", ModelState.LOADED), "two": has("two", "y", ModelState.FAILED)}
    now = Elsewhere(Registry(None), lambda: None, lambda: servers).now()
    assert (now.free["m"].upstream, now.free["m"].status) == ("one", Status.RUNNING)
    assert now.names == dict.fromkeys(("m", "x", "y"), "m")
