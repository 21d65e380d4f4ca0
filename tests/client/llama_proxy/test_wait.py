"""Waiting for a model."""

from __future__ import annotations

import pytest

from exporter.client import LlamaProxyClient, NotFoundError, NotLoadedError
from tests.client.llama_proxy.conftest import Patience
from tests.client.llama_proxy.manager import Manager, Reply
from tests.nextjs_document import MODEL, error


def model(status: str, **more: object) -> Reply:
    return Reply(200, {"success": True, "data": {**MODEL, "status": status, **more}})


@pytest.mark.parametrize("loaded", ["running", "idle"])
def test_it_looks_until_the_model_is_loaded(
    client: LlamaProxyClient, manager: Manager, patience: Patience, loaded: str
) -> None:
    manager.answers = [model("loading")] * 6 + [model(loaded)]
    assert client.models.wait("tiny").status == loaded
    assert patience.pauses == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


def test_a_failed_load_is_told_with_its_reason(client: LlamaProxyClient, manager: Manager) -> None:
    manager.answers = [model("loading"), model("error", error="out of memory")]
    with pytest.raises(NotLoadedError, match=r"^tiny could not be loaded: out of memory$"):
        client.models.wait("tiny")


def test_a_model_that_nobody_loads(client: LlamaProxyClient, manager: Manager, patience: Patience) -> None:
    manager.answers = [model("stopped")] * 2
    with pytest.raises(NotLoadedError, match=r"not loaded after 0\.3 seconds; its status is stopped"):
        client.models.wait("tiny", timeout=0.3)
    assert patience.pauses == [0.25]


def test_the_rate_limit_only_slows_it_down(client: LlamaProxyClient, manager: Manager, patience: Patience) -> None:
    manager.answers = [Reply(429, error(429, "RATE_LIMITED", "No."), {"Retry-After": "60"}), model("running")]
    assert client.models.wait("tiny").is_loaded
    assert patience.pauses == [60.0]


def test_an_unknown_model(client: LlamaProxyClient, manager: Manager) -> None:
    manager.answers = [Reply(404, error(404, "NOT_FOUND", "No such model."))]
    with pytest.raises(NotFoundError):
        client.models.wait("tiny")
