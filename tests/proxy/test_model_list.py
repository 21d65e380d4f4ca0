"""`GET /v1/models` of several upstreams together."""

from __future__ import annotations

import json
from dataclasses import replace

from exporter.record import Outcome
from exporter.settings.routing import RoutingSettings
from tests.fakes.answers import json_reply
from tests.fakes.llama_server import FakeServer
from tests.proxy.harness import Proxy, ask, running_proxy

OWN = json_reply({"object": "list", "data": [{"id": "own"}]})
LIST = ask("GET", "/v1/models")


def tell(proxy: Proxy, number: int, *models: str, router: bool = False) -> None:
    """Upstream `number` serves these models."""
    upstream = proxy.fleet.upstreams[number - 1]
    [unseen] = [backend for backend in proxy.fleet.layout.backends if backend.upstream is upstream]
    backends = tuple(
        replace(unseen, id=f"{upstream.name}/{model}", model=model, names=frozenset((model, f"{model}-alias")))
        for model in models
    )
    proxy.fleet.described(upstream.name, backends, router=router)


async def test_aliases_then_every_model_once() -> None:
    routing = RoutingSettings(aliases=("auto", "default"))
    async with (
        FakeServer(OWN) as server,
        running_proxy(server.url, server.url, server.url, routing=routing) as proxy,
        await proxy.connect() as client,
    ):
        tell(proxy, 1, "small")
        tell(proxy, 2, "large", "small", router=True)
        status, fields, body = await client.exchange(LIST)
        listed = json.loads(body)
        assert status == 200
        assert dict(fields)[b"content-type"] == b"application/json; charset=utf-8"
        assert listed["object"] == "list"
        assert [each["id"] for each in listed["data"]] == ["auto", "default", "small", "large"]
        assert [each["owned_by"] for each in listed["data"]] == ["llama-exporter"] * 2 + ["llama_cpp"] * 2
        assert {each["object"] for each in listed["data"]} == {"model"}
        assert not server.requests
        record = await proxy.only_record()
        assert (record.outcome, record.status_code, record.upstream) == (Outcome.COMPLETED, 200, None)
        assert record.attempts == ()


async def test_one_upstream_answers_for_itself() -> None:
    async with FakeServer(OWN) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        _, _, body = await client.exchange(LIST)
        assert json.loads(body)["data"] == [{"id": "own"}]
        assert len(server.requests) == 1


async def test_other_lists_pass() -> None:
    """`/models` is the management of llama-server's router."""
    async with (
        FakeServer(OWN) as server,
        running_proxy(server.url, server.url) as proxy,
        await proxy.connect() as client,
    ):
        for request in (ask("GET", "/models"), ask("GET", "/v1/models/own")):
            await client.exchange(request)
        assert [each.target for each in server.requests] == ["/models", "/v1/models/own"]
