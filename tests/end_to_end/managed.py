"""A sidecar that runs a real llama-server in router mode, with tiny models in a folder, for `test_models` and its
neighbours."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import socketio

from tests.end_to_end.sidecar import Sidecar
from tests.models.real_router import router_binary, write_models
from tests.ports import free_ports

NAMES = ("tiny-a", "tiny-b", "tiny-c")
PATIENCE_SECONDS = 60.0


class Manager:
    """One of them: its API, its proxy, the process of its llama-server."""

    def __init__(self, sidecar: Sidecar, folder: Path, port: int) -> None:
        self.sidecar = sidecar
        self.models = folder / "models"
        self.port = port
        self.api = httpx.Client(base_url=f"{sidecar.admin}/api", timeout=90, trust_env=False)
        self.proxy = httpx.Client(base_url=sidecar.proxy, timeout=90, trust_env=False)

    def register(self, *names: str) -> list[dict[str, Any]]:
        """Register models of the folder; what was answered of them."""
        entries = [{"name": name, "path": str(self.models / f"{name}.gguf")} for name in names]
        answer = self.api.post("/models", json={"models": entries})
        assert answer.status_code == 200, answer.text
        registered: list[dict[str, Any]] = answer.json()["models"]
        return registered

    def status(self, name: str) -> str:
        """Of a model, in the API's words."""
        by_name = {model["id"]: model["status"] for model in self.api.get("/models").json()["models"]}
        return str(by_name[name])

    def chat(self, name: str) -> httpx.Response:
        """Ask a model one question, through the proxy."""
        messages = [{"role": "user", "content": "What is a prompt cache?"}]
        return self.proxy.post("/v1/chat/completions", json={"model": name, "messages": messages, "max_tokens": 4})

    def props(self, name: str) -> dict[str, Any]:
        """What llama-server says of a loaded model, through the proxy."""
        answer = self.proxy.get("/props", params={"model": name, "autoload": "false"})
        assert answer.status_code == 200, answer.text
        props: dict[str, Any] = answer.json()
        return props

    def router(self) -> psutil.Process:
        """The process of the router: the sidecar's child that is one."""
        children = psutil.Process(self.sidecar.pid).children(recursive=True)
        found = [each for each in children if "--models-preset" in _command(each)]
        assert found, [_command(each) for each in children]
        return found[0]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, for a long time at most; an API that is away for a moment is no failure."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            assert time.monotonic() < deadline, self.sidecar.log[-20:]
            time.sleep(0.05)


def is_listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _command(process: psutil.Process) -> Sequence[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return ()


@contextlib.contextmanager
def managing(folder: Path, *arguments: str, **settings: str) -> Iterator[Manager]:
    """One whose llama-server is ready; `settings` by their variables' names, without what they begin with."""
    binary = router_binary()
    write_models(folder / "models", NAMES)
    (folder / "cache").mkdir()
    port = next(free_ports())
    environment = {
        "LLAMA_CACHE": str(folder / "cache"),
        "LLAMA_EXPORTER_MODELS__PRESET_FILE": str(folder / "models.ini"),
        "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "0.5",
        "LLAMA_EXPORTER_STORE__INSTANCE": "here",
        "LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE": "0",
        **{f"LLAMA_EXPORTER_{name}": value for name, value in settings.items()},
    }
    command = ["--upstream", f"http://127.0.0.1:{port}", "--manage-llama-server", binary]
    command += ["--models-dir", str(folder / "models"), "--store", f"sqlite:///{folder}/history.db", *arguments]
    with Sidecar(*command, environment=environment) as sidecar:
        manager = Manager(sidecar, folder, port)
        with manager.api, manager.proxy:
            manager.wait_until(lambda: manager.api.get("/health").status_code == 200)
            yield manager
        assert sidecar.stop() == 0


@contextlib.contextmanager
def heard(admin: str, namespace: str) -> Iterator[list[tuple[str, Any]]]:
    """The events of a namespace, as they come."""
    events: list[tuple[str, Any]] = []
    client = socketio.Client(reconnection=False)
    client.on("*", lambda event, *data: events.append((event, data[0] if data else None)), namespace=namespace)
    client.connect(admin, namespaces=[namespace], transports=["polling"], wait_timeout=30)
    try:
        yield events
    finally:
        client.disconnect()
