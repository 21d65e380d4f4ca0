"""Models in the contract's keys."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.api.nextjs.models import shape as shapes
from exporter.models.model import Discovered, File, Model, Registered, Status
from tests import nextjs_document
from tests.api.nextjs import typed
from tests.api.views import WALL

REGISTERED = Registered(
    "llama-2-7b-chat",
    path="/srv/llama.gguf",
    description="Chat model",
    family="llama",
    version="2.0",
    size_bytes=3_758_096_384,
    quantization="Q4_K_M",
    format="gguf",
    training_context_size=4096,
    options={"n_ctx": 2048},
    created_at=WALL - 60,
    updated_at=WALL - 30,
)
RUNNING = Model(
    REGISTERED.name,
    Status.RUNNING,
    REGISTERED,
    upstream="engine",
    context_size=2048,
    loaded_at=WALL - 10,
    last_used_at=WALL,
    memory_bytes=1 << 30,
)


def test_every_documented_key_is_there_with_its_type() -> None:
    shown: Any = shapes.item(RUNNING)
    assert typed.differences(nextjs_document.MODEL, shown) == []
    assert None not in [shown[key] for key in nextjs_document.MODEL]
    assert typed.differences({**nextjs_document.MODELS, "models": []}, shapes.model_list(3, WALL)) == []


def test_one_of_which_nothing_is_known() -> None:
    shown = shapes.item(Model("x", Status.STOPPED))
    assert typed.differences(nextjs_document.MODEL, shown) == []
    assert {key for key, value in shown.items() if value is None} == {
        *("version", "path", "size", "family", "contextSize", "loadedAt", "lastUsed", "format", "quantization"),
        *("upstream", "error", "createdAt", "updatedAt"),
    }
    assert (shown["description"], shown["registered"], shown["type"]) == ("", False, "other")
    assert "progress" not in shown, "clients call a method of it"


def test_what_is_known_now_comes_before_what_was_registered() -> None:
    shown = shapes.item(RUNNING)
    assert (shown["contextSize"], shown["size"], shown["quantization"]) == (2048, 3_758_096_384, "Q4_K_M")
    assert (shown["loadedAt"], shown["createdAt"]) == ("2026-11-20T08:32:20.000Z", "2026-11-20T08:31:30.000Z")
    assert shapes.item(Model("x", Status.STOPPED, REGISTERED))["contextSize"] == 4096


@pytest.mark.parametrize(("progress", "shown"), [(0.0, 0.0), (0.7512, 75.1), (1.5, 100.0), (-1, 0.0)])
def test_progress_is_percent_while_it_is_loading(progress: float, shown: float) -> None:
    assert shapes.item(Model("x", Status.LOADING, progress=progress))["progress"] == shown
    assert "progress" not in shapes.item(Model("x", Status.RUNNING, progress=progress))


def test_what_was_found() -> None:
    file = File("a", "/srv/a.gguf", 5, "A model", "gguf", "llama", "3.0", "Q4_K_M", 8192)
    found = Discovered([file], ["/srv"], [("/srv/b.gguf", "not a GGUF file")], 2)
    document = shapes.discovery(found, WALL)
    assert typed.differences(nextjs_document.DISCOVERED, document) == []
    assert document["totalFound"] == 2
    assert document["errors"] == [{"path": "/srv/b.gguf", "error": "not a GGUF file"}]


def test_estimates_are_those_of_the_last_load() -> None:
    stopped = Model("x", Status.STOPPED)
    loading = Model("x", Status.LOADING, load_seconds=30.04)
    assert shapes.loading(stopped, loading, WALL)["estimatedTime"] == 30.0
    further = Model("x", Status.LOADING, load_seconds=30.0, remaining_seconds=12.26)
    assert shapes.loading(stopped, further, WALL)["estimatedTime"] == 12.3
    assert shapes.loading(stopped, Model("x", Status.LOADING), WALL)["estimatedTime"] is None
    assert shapes.loading(RUNNING, RUNNING, WALL)["estimatedTime"] == 0.0


def test_a_load_anew_is_not_one_that_was_done_already() -> None:
    anew = Model("x", Status.RUNNING, loaded_at=WALL)
    assert shapes.loading(RUNNING, anew, WALL)["status"] is Status.LOADING
    assert shapes.loading(RUNNING, RUNNING, WALL)["message"] == "Model is loaded already"


def test_a_reader_that_misses_nothing() -> None:
    """The reader of these tests notices what is missing, and what has another type."""
    assert typed.differences({"a": [{"b": 1}]}, {"a": [{"b": "1"}, {}]}) == [".a[0].b is '1'", ".a[1].b is missing"]
    assert typed.differences({"a": True}, {"a": 1}) == [".a is 1"]
    assert typed.differences({"a": {}}, {"a": []}) == [".a is no object"]
    assert typed.differences([1], {}) == [" is no array"]
