"""Everything that a user runs on the first day, for real: the demo, two sidecars, Prometheus with the shipped
configuration, rules and alerts, Alertmanager with the shipped configuration, and somebody who is told.

The GPUs are those of the fake NVML. `conftest` starts it when the session starts, so that minutes have passed when the
tests that look at it come; it has the lowest priority, so that it disturbs nobody's timing.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from exporter.config import environment_without_settings
from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import write_model
from tests.end_to_end.prometheus import answers, program, running, wait_until
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.webhook import Webhook, webhook
from tests.system.fake_nvml import compile_library
from tests.system.redis_server import RedisServer

SHIPPED = Path(__file__).parent.parent.parent / "prometheus"
INTERVAL = "2s"
"""Of scrapes and of rules: a test has minutes where a user has weeks."""
PACE = 150
"""How many times faster than shipped an alert is sure of itself (`for`, `keep_firing_for`)."""
PATIENT = "patient"
"""Value of the label `pace` of alerts that wait as long as the shipped ones, beside the fast ones."""
LOW_PRIORITY = ("nice", "-n", "19")
DURATION = re.compile(r"(\d+)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is."""

    demo: str
    """The admin listener of the demo's sidecar."""
    prometheus: str
    alertmanager: str
    told: Webhook
    began: float
    """Monotonic time at which the demo was up."""


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """All of it, until the block ends. Skips when a program is missing."""
    for name in ("prometheus", "prometheus-alertmanager", "redis-server", "gcc"):
        program(name)
    with ExitStack() as stack:
        demo = stack.enter_context(_demo(folder))
        began = time.monotonic()
        other = stack.enter_context(_other_machine(folder))
        told = stack.enter_context(webhook())
        alertmanager = stack.enter_context(_alertmanager(folder, told.url))
        targets = [demo.removeprefix("http://"), other.admin.removeprefix("http://")]
        prometheus = stack.enter_context(_prometheus(folder, targets, alertmanager))
        yield Stage(demo, prometheus, alertmanager, told, began)


@contextmanager
def _demo(folder: Path) -> Iterator[str]:
    """`llama-exporter demo` on a machine with two GPUs."""
    library = folder / "nvml"
    library.mkdir()
    compile_library(library)
    proxy, admin = _free_address(), _free_address()
    command = [
        *LOW_PRIORITY,
        sys.executable,
        "-m",
        "exporter",
        "demo",
        "--proxy-listen",
        proxy,
        "--admin-listen",
        admin,
    ]
    environment = {**environment_without_settings(), "LD_LIBRARY_PATH": str(library)}
    log = folder / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=SHIPPED.parent)
        try:
            wait_until(lambda: answers(f"http://{admin}/-/ready"), lambda: log.read_text()[-2000:], timeout_seconds=60)
            yield f"http://{admin}"
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _other_machine(folder: Path) -> Iterator[Sidecar]:
    """A second sidecar, with a vector index and a Redis beside its model, and without a GPU."""
    (folder / "vectors.faiss").write_bytes(bytes(50_000))
    write_model(folder / "tiny.gguf")
    redis = RedisServer(int(_free_address().rpartition(":")[2]), folder)
    with Engine(EngineOptions(model=folder / "tiny.gguf", alias="tiny-q4")) as engine, redis:
        environment = {
            "LLAMA_EXPORTER_SAMPLING__INDEX_PATHS": str(folder / "vectors.faiss"),
            "LLAMA_EXPORTER_SAMPLING__REDIS_URL": redis.url,
        }
        with Sidecar("--upstream", f"Q4={engine.url}", environment=environment) as sidecar:
            yield sidecar


@contextmanager
def _prometheus(folder: Path, targets: list[str], alertmanager: str) -> Iterator[str]:
    address = _free_address()
    home = folder / "prometheus"
    shutil.copytree(SHIPPED / "rules", home / "rules")
    (home / "alerts").mkdir()
    for path in (SHIPPED / "alerts").glob("*.yml"):
        shipped = yaml.safe_load(path.read_text())
        _write(home / "alerts" / path.name, hurried(shipped))
        _write(home / "alerts" / f"{PATIENT}-{path.name}", patient(shipped))
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL, "scrape_timeout": INTERVAL}
    config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    config["alerting"]["alert_relabel_configs"] = [{"source_labels": ["pace"], "regex": PATIENT, "action": "drop"}]
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager.removeprefix("http://")]}]
    _write(home / "prometheus.yml", config)
    command = [
        *(*LOW_PRIORITY, program("prometheus"), f"--config.file={home / 'prometheus.yml'}"),
        *(f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address={address}"),
        "--enable-feature=exemplar-storage",
    ]
    with running(command, folder / "prometheus.log", f"http://{address}/-/ready"):
        yield f"http://{address}"


@contextmanager
def _alertmanager(folder: Path, receiver: str) -> Iterator[str]:
    address = _free_address()
    config = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
    for each in config["receivers"]:
        for hook in each.get("webhook_configs", ()):
            hook["url"] = receiver
    _hurry_routes(config["route"])
    home = folder / "alertmanager"
    shutil.copytree(SHIPPED / "templates", home / "templates")
    _write(home / "alertmanager.yml", config)
    command = [
        *(program("prometheus-alertmanager"), f"--config.file={home / 'alertmanager.yml'}"),
        *(f"--storage.path={home / 'data'}", f"--web.listen-address={address}"),
        "--cluster.listen-address=",
    ]
    with running(command, folder / "alertmanager.log", f"http://{address}/-/ready"):
        yield f"http://{address}"


def hurried(alerts: Document) -> Document:
    """The same alerts, sure of themselves so many times sooner. The times that are shipped are tested by promtool."""

    def hurry(rule: Document) -> Document:
        return {key: _sooner(value) if key in WAITS else value for key, value in rule.items()}

    return _changed(alerts, hurry)


def patient(alerts: Document) -> Document:
    """The same alerts as shipped, marked, and told to nobody."""
    return _changed(alerts, lambda rule: {**rule, "labels": {**rule.get("labels", {}), "pace": PATIENT}})


WAITS = ("for", "keep_firing_for")


def _changed(alerts: Document, change: Callable[[Document], Document]) -> Document:
    groups = [{**group, "rules": [change(rule) for rule in group["rules"]]} for group in alerts["groups"]]
    return {"groups": [{key: value for key, value in group.items() if key != "interval"} for group in groups]}


def _sooner(duration: str) -> str:
    seconds = sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(duration))
    return f"{seconds * 1000 // PACE}ms"


def _hurry_routes(route: Document) -> None:
    route |= {"group_wait": "1s", "group_interval": "1s"}
    for each in route.get("routes", ()):
        _hurry_routes(each)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False))


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
