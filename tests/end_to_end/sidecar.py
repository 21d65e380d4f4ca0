"""`llama-exporter serve` as anybody would start it, in a process of its own, on free ports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporter.config import environment_without_settings

Labels = Mapping[str, str]


START_SECONDS = 60.0
"""Longest start; some tests run beside two other processes, with less of the processors than they."""
PLACES = ("LLAMA_EXPORTER_STORE__URL", "XDG_STATE_HOME")
"""Environment variables that say where history is kept."""


def ours_alone() -> dict[str, str]:
    """The environment, without what would lead the sidecar elsewhere: its settings, and OpenTelemetry's."""
    return {name: value for name, value in environment_without_settings().items() if not name.startswith("OTEL_")}


class Sidecar:
    """A running sidecar: `with Sidecar("--upstream", url) as sidecar: sidecar.proxy, sidecar.admin`.

    It keeps no history unless `--store`, or one of `PLACES` in its environment, says where. `prefix` is what its
    command begins with, such as another user.
    """

    def __init__(
        self, *arguments: str, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> None:
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._prefix = prefix
        self.log: list[dict[str, Any]] = []
        self.proxy = ""
        self.admin = ""
        self.completions = ""
        """Empty without `--completions-listen`."""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command(),
            stderr=subprocess.PIPE,
            text=True,
            env={**ours_alone(), **self._environment},
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            self.wait_until(lambda: bool(self.proxy and self.admin), START_SECONDS)
            if "--completions-listen" in self._arguments:
                self.wait_until(lambda: bool(self.completions))
            self.wait_until(self._healthy)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _command(self) -> list[str]:
        command = [*self._prefix, sys.executable, "-m", "exporter", "serve", "--log-format", "json", *self._arguments]
        if "--proxy-listen" not in self._arguments:
            command += ["--proxy-listen", "127.0.0.1:0"]
        if "--admin-listen" not in self._arguments:
            command += ["--admin-listen", "127.0.0.1:0"]
        if "--store" not in self._arguments and not self._environment.keys() & set(PLACES):
            command += ["--store", "none"]
        return command

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, sig: signal.Signals = signal.SIGTERM, timeout_seconds: float = 40.0) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(timeout_seconds)

    def wait_until(self, condition: Any, timeout_seconds: float = 15.0) -> None:
        """Poll a condition. Raises TimeoutError, with the log."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline or (self.process.poll() is not None and not condition()):
                raise TimeoutError(f"the sidecar did not get there; its log: {self.log[-20:]}")
            time.sleep(0.01)

    def said(self, message: str) -> list[dict[str, Any]]:
        """The entries of the log with this message."""
        return [entry for entry in list(self.log) if entry["message"] == message]

    def metrics(self) -> Metrics:
        """A scrape."""
        answer = httpx.get(f"{self.admin}/metrics", timeout=10)
        assert answer.status_code == 200
        return Metrics(answer.text)

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.admin}/-/healthy", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"message": line.rstrip()}
            self.log.append(entry)
            if entry["message"] == "listening":
                setattr(self, entry["listener"], entry["url"])


class Metrics:
    """The samples of one exposition in text form."""

    def __init__(self, text: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Sum over all samples of that name whose labels hold these."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}


def run_cli(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `llama-exporter` to its end."""
    command: Sequence[str] = [sys.executable, "-m", "exporter", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**environment_without_settings(), **(environment or {})},
    )
