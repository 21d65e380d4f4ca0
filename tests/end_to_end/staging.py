"""The process that `stage` starts: it starts each part of a stage, and ends each when it ends itself, whatever happens
to the others. `python -m tests.end_to_end.staging`, by hand, serves until standard input ends.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import write_model
from exporter.demo.process import Child, http_status
from tests.end_to_end.prometheus import background, running
from tests.end_to_end.shipped import Pace, write_alertmanager, write_prometheus
from tests.end_to_end.stage import Stage, missing
from tests.end_to_end.supervision import supervised
from tests.end_to_end.webhook import webhook
from tests.otlp.arrived import Arrived
from tests.otlp.receiver import Failure, Receiver
from tests.ports import free_ports
from tests.system.fake_nvml import compile_library

PORTS = free_ports()
PUSH_PACE = {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
"""Milliseconds between two pushes of spans, and of metrics: a test has minutes."""


class Ours(Child):
    """`llama-exporter` with these arguments, which listens on these addresses, and ends with this process."""

    start_limit_seconds = 90.0
    stop_limit_seconds = 10.0

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        proxy, self._admin = free_address(), free_address()
        listen = ["--proxy-listen", proxy, "--admin-listen", self._admin]
        super().__init__(arguments[0], ["-m", "exporter.demo.sidecar", *arguments, *listen], environment)

    @property
    def admin(self) -> str:
        """Base URL of the admin listener."""
        return f"http://{self._admin}"

    def ready(self) -> bool:
        """Whether it takes requests."""
        return http_status(f"{self.admin}/-/ready") == 200


class Collector(Receiver):
    """Takes what is pushed, and keeps nothing of it: a stage lasts for minutes."""

    def take(self, arrived: Arrived) -> Failure | None:
        """See `Receiver.take`."""
        failure = super().take(arrived)
        self.clear()
        return failure


@contextmanager
def staged(folder: Path, pace: Pace) -> Iterator[Stage]:
    """All of it. Raises StartupError or TimeoutError, with the last words of the part that did not start."""
    with ExitStack() as stack:
        # First, and so the last to end: what a sidecar pushes when it ends is taken.
        collector = stack.enter_context(Collector())
        environment = {**_gpus(folder), **collector.environment, **PUSH_PACE}
        demo = stack.enter_context(Ours(["demo"], environment))
        began = time.time()
        other = stack.enter_context(_other_sidecar(folder, environment))
        receiver = stack.enter_context(webhook())
        alertmanager = stack.enter_context(_alertmanager(folder, receiver, pace))
        prometheus = stack.enter_context(_prometheus(folder, (demo.admin, other.admin), alertmanager, pace))
        yield Stage(
            folder=str(folder),
            demo=demo.admin,
            other=other.admin,
            prometheus=prometheus,
            alertmanager=alertmanager,
            receiver=receiver,
            began=began,
        )


def _gpus(folder: Path) -> Mapping[str, str]:
    """The environment of a process on a machine with two GPUs, whose figures rise and fall."""
    library = folder / "nvml"
    library.mkdir()
    compile_library(library)
    return {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_FILE": str(library / "figures")}


@contextmanager
def _other_sidecar(folder: Path, environment: Mapping[str, str]) -> Iterator[Ours]:
    """A second sidecar on the same machine, with a vector index, a Redis and a history beside its model."""
    index, model = folder / "vectors.faiss", folder / "tiny.gguf"
    index.write_bytes(bytes(50_000))
    write_model(model)
    with Engine(EngineOptions(model=model, alias="tiny-q4")) as engine, _redis(folder) as redis:
        beside = {
            "LLAMA_EXPORTER_SAMPLING__INDEX_PATHS": str(index),
            "LLAMA_EXPORTER_SAMPLING__REDIS_URL": redis,
            "LLAMA_EXPORTER_STORE__URL": f"sqlite:///{folder / 'history.db'}",
        }
        with Ours(["serve", "--upstream", f"Q4={engine.url}"], {**environment, **beside}) as sidecar:
            yield sidecar


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = next(PORTS)
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with background(command, folder / "redis.log", lambda: _listens(port)):
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def _alertmanager(folder: Path, receiver: str, pace: Pace) -> Iterator[str]:
    address, home = free_address(), folder / "alertmanager"
    command = [
        *("prometheus-alertmanager", f"--config.file={write_alertmanager(home, receiver, pace)}"),
        *(f"--storage.path={home / 'data'}", f"--web.listen-address={address}", "--cluster.listen-address="),
    ]
    with running(command, folder / "alertmanager.log", f"http://{address}/-/ready"):
        yield f"http://{address}"


@contextmanager
def _prometheus(folder: Path, urls: Sequence[str], alertmanager: str, pace: Pace) -> Iterator[str]:
    address, home = free_address(), folder / "prometheus"
    targets = [url.removeprefix("http://") for url in urls]
    config = write_prometheus(home, targets, alertmanager.removeprefix("http://"), pace)
    command = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={home / 'data'}"),
        *(f"--web.listen-address={address}", "--enable-feature=exemplar-storage"),
    ]
    with running(command, folder / "prometheus.log", f"http://{address}/-/ready"):
        yield f"http://{address}"


def free_address() -> str:
    """`host:port` on which nobody listens."""
    return f"127.0.0.1:{next(PORTS)}"


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Start a stage, say where everything is as a line of JSON, and end with standard input."""
    pace = _pace(arguments)
    absent = missing()
    if absent is not None:
        sys.exit(absent)
    with supervised("first-day-") as folder, staged(folder, pace) as stage:
        sys.stdout.write(f"{json.dumps(asdict(stage))}\n")
        sys.stdout.flush()
        threading.Event().wait()
    return 0


def _pace(arguments: Sequence[str] | None) -> Pace:
    usual = Pace()
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.staging", description=__doc__)
    parser.add_argument("--interval", type=int, default=usual.interval_seconds, help="seconds between scrapes")
    parser.add_argument("--hurry", type=int, default=usual.hurry, help="how much sooner alerts are sure of themselves")
    options = parser.parse_args(arguments)
    return Pace(options.interval, options.hurry)


if __name__ == "__main__":
    sys.exit(main())
