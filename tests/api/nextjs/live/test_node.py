"""The real Socket.IO client, with the options that its users give it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from exporter import listeners
from exporter.api.nextjs.live.pages.documents import model_id
from exporter.live.logbook import PROXY
from exporter.models.model import Kind, Status
from exporter.tasks import Supervisor
from tests.api.nextjs.live.node_clients import PATIENCE_SECONDS, NodeClient, node_clients
from tests.api.nextjs.live.stage import RUNNING, STOPPED, Stage
from tests.serving import own_signal_handlers, until

TRANSPORTS = (["polling"], ["websocket"], ["polling", "websocket"])
PAGE: dict[str, Any] = {
    "path": "/llamaproxws",
    "transports": ["websocket"],
    "reconnection": True,
    "reconnectionAttempts": 50,
    "reconnectionDelay": 100,
    "reconnectionDelayMax": 500,
    "randomizationFactor": 1,
    "timeout": 10_000,
}
"""Those of the manager's own pages, but for their patience."""


async def begun(client: NodeClient) -> NodeClient:
    await client.next("connect")
    return client


async def test_every_namespace_over_every_transport() -> None:
    stage = Stage()
    await stage.runtime.change({"metrics_interval_ms": 200, "models_interval_ms": 200, "logs_interval_ms": 200})
    async with stage.open() as running, node_clients() as node:
        url = f"http://127.0.0.1:{running.port}"
        for transports in TRANSPORTS:
            clients = {
                name: await begun(await node.open(f"{url}/{name}", transports=transports))
                for name in ("", "metrics", "models", "logs")
            }
            for _ in range(3):
                update = await clients["metrics"].hear("metrics:update")
                assert {"timestamp", "cpu", "memory", "requests"} <= set(update)
                update = await clients["models"].hear("models:update")
                assert [each["id"] for each in update["models"]][:2] == [RUNNING.name, STOPPED.name]
            stage.models.move(Kind.LOADED, RUNNING)
            loaded = await clients["models"].hear("model:loaded")
            assert loaded == {"modelId": RUNNING.name, "loadTime": 45, "memoryUsage": 4096}
            await check_logs(stage, clients["logs"])
            await clients[""].emit("nonsense")
            assert (await clients[""].hear("error"))["code"] == "NOT_FOUND"
            for client in clients.values():
                await client.close()
            await until(lambda: stage.live.readers() == 0)


async def check_logs(stage: Stage, client: NodeClient) -> None:
    wanted = {"levels": ["error", "warn"], "sources": ["proxy"], "limit": 100}
    assert await client.ask("logs:filter", wanted) == {"success": True}
    stage.logbook.add("info", PROXY, "not this")
    stage.logbook.add("warn", PROXY, "this", {"statusCode": 200})
    (line,) = (await client.hear("logs:update"))["logs"]
    assert (line["message"], line["metadata"]) == ("this", {"statusCode": 200})
    await client.emit("logs:filter", {"levels": "loud"})
    assert (await client.hear("error"))["code"] == "VALIDATION_ERROR"
    await client.emit("logs:clear_filters")
    stage.logbook.add("info", PROXY, "that")
    assert "that" in [each["message"] for each in (await client.hear("logs:update"))["logs"]]


async def test_an_upgrade_under_way_loses_nothing() -> None:
    """What is said meanwhile comes, however much it is in one body."""
    async with Stage().open() as running, node_clients() as node:
        client = await node.open(f"http://127.0.0.1:{running.port}/logs", transports=["polling", "websocket"])
        for number in range(200):
            await client.emit("logs:filter", {"limit": number})
        assert (await client.hear("error"))["details"].keys() == {"limit"}
        await until(lambda: client.seen["upgrade"], PATIENCE_SECONDS)
        assert await client.ask("logs:clear_filters") == {"success": True}
        assert (client.seen["< error"], client.seen["disconnect"], client.seen["connect_error"]) == (1, 0, 0)


async def test_a_page() -> None:
    stage = Stage()
    stage.logbook.add("info", PROXY, "a line")
    async with stage.open() as running, node_clients() as node:
        page = await begun(await node.open(f"http://127.0.0.1:{running.port}", **PAGE))
        assert (await page.hear("message"))["type"] == "connection"
        for event, kind in {"metrics": dict, "models": list, "models_loaded": list, "llamaStatus": dict}.items():
            assert isinstance((await page.hear(event))["data"], kind)
        for question in ("request_metrics", "request_logs", "load_models"):
            await page.emit(question, {})
        assert "cpuUsage" in (await page.hear("metrics"))["data"]
        assert [each["message"] for each in (await page.hear("logs"))["data"]] == ["a line"]
        loaded = await page.hear("models_loaded")
        assert loaded["success"] is True
        (running_model,) = [each for each in loaded["data"] if each["name"] == RUNNING.name]
        await page.emit("toggle_model", {"modelId": running_model["id"]})
        assert await page.hear("modelToggled") == {"modelId": model_id(RUNNING.name), "status": "stopped"}
        corrected = await page.hear("models_loaded")
        assert corrected["data"][0]["status"] == "stopped"
        await page.emit("update_model", {"id": int(running_model["id"]), "updates": {"status": "running"}})
        assert (await page.hear("model_updated"))["data"]["status"] == "stopped"
        stage.models.move(Kind.CHANGED, replace(STOPPED, status=Status.UNLOADING, memory_bytes=1 << 20))
        assert (await page.hear("models"))["data"][1]["status"] == "stopped"


async def test_the_end_and_a_new_beginning() -> None:
    """The sidecar is restarted at the same address, and every client comes back by itself."""
    async with node_clients() as node:
        async with restarted(Stage(), 0) as port:
            url = f"http://127.0.0.1:{port}"
            options = {"reconnectionDelay": 100, "reconnectionDelayMax": 500, "randomizationFactor": 0}
            clients = [await node.open(url, transports=each, **options) for each in TRANSPORTS]
            clients += [await node.open(f"{url}/metrics", **options), await node.open(url, **PAGE)]
            for client in clients:
                await client.next("connect")
        for client in clients:
            reason, comes_back = await client.next("disconnect")
            assert comes_back, reason
        for client in clients:
            await client.next("connect_error")
        async with restarted(Stage(), port):
            for client in clients:
                await client.next("connect")
            await clients[3].hear("metrics:update")
            await clients[4].hear("models")


@contextlib.asynccontextmanager
async def restarted(stage: Stage, port: int) -> AsyncIterator[int]:
    """The server at a port, or a free one; it ends as the sidecar does."""
    listener = listeners.bind(f"127.0.0.1:{port}", "x.listen")
    supervisor = Supervisor()
    for name, work in stage.live.work.items():
        supervisor.start(name, work)
    with own_signal_handlers():
        sockets = [listener]
        serving = listeners.serve(
            [(listener, stage.app)], grace_seconds=5, websocket_sockets=sockets, on_stop=stage.live.close
        )
        task = asyncio.get_running_loop().create_task(serving)
        try:
            yield listener.getsockname()[1]
        finally:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.wait_for(task, 20)
            await supervisor.stop()


async def test_refusals_are_connection_errors() -> None:
    async with Stage(max_readers=0).open() as running, node_clients() as node:
        for transports in TRANSPORTS[:2]:
            client = await node.open(f"http://127.0.0.1:{running.port}", transports=transports)
            message, comes_back = await client.next("connect_error")
            assert comes_back, message
    async with Stage(keys=("k",)).open() as running, node_clients() as node:
        url = f"http://127.0.0.1:{running.port}"
        by_payload = await node.open(url, transports=["websocket"], auth={"token": "k"})
        await by_payload.next("connect_error")
        for transports in TRANSPORTS:
            header = {"x-api-key": "k"}
            await begun(await node.open(url, transports=transports, extraHeaders=header))


async def test_a_namespace_that_there_is_not() -> None:
    async with Stage().open() as running, node_clients() as node:
        client = await node.open(f"http://127.0.0.1:{running.port}/nowhere", transports=["websocket"])
        assert await client.next("connect_error") == ["there is no such namespace: /nowhere", False]
