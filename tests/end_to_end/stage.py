"""Everything that a user runs on the first day, for real: the demo, two sidecars, Prometheus with the shipped
configuration, rules and alerts, Alertmanager with the shipped configuration, somebody who is told, and somebody who
takes the sidecars' traces and metrics.

It lives in a process of its own (`staging`), which has the lowest priority, so that it disturbs nobody's timing, and
ends with whoever started it: `conftest`, when the session starts, so that minutes have passed when the tests that look
at it come, and `tools/pictures`. The GPUs are those of the fake NVML.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from exporter.demo.process import Child
from tests.end_to_end.shipped import Pace
from tests.end_to_end.webhook import Received
from tests.programs import lack

PROGRAMS = ("gcc", "prometheus", "prometheus-alertmanager", "redis-server")
POLL_SECONDS = 1.0
Found = TypeVar("Found", bound=Collection[object])
MODULES = ("xllamacpp", "gguf", "numpy", "rich", "redis")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is: base URLs."""

    folder: str
    """Logs, and what the servers keep."""
    demo: str
    """The admin listener of the demo's sidecar."""
    other: str
    """The admin listener of the second sidecar."""
    prometheus: str
    alertmanager: str
    receiver: str
    began: float
    """Unix seconds at which the demo was up."""

    patient_until: float = 0.0
    """Unix seconds until which a check may wait for what takes time: see `settled`."""

    def settled(self, check: Callable[[], Found]) -> Found:
        """What a check finds fault with: nothing as soon as it finds nothing, else what is left at the end of all
        patience."""
        while (found := check()) and time.time() < self.patient_until:
            time.sleep(POLL_SECONDS)
        return found

    @property
    def told(self) -> Received:
        """What Alertmanager told."""
        return Received(self.receiver)


class StageProcess(Child):
    """The process that has a stage: `with StageProcess() as process: process.stage`. Starting raises StartupError."""

    start_limit_seconds = 120.0
    stop_limit_seconds = 60.0

    def __init__(self, pace: Pace | None = None) -> None:
        pace = pace or Pace()
        options = ["--interval", str(pace.interval_seconds), "--hurry", str(pace.hurry)]
        super().__init__("stage", ["-m", "tests.end_to_end.staging", *options])
        self._stage: Stage | None = None

    @property
    def stage(self) -> Stage:
        """What there is. Raises RuntimeError when it was never ready."""
        if self._stage is None:
            raise RuntimeError("the stage was not started")
        return self._stage

    def ready(self) -> bool:
        """Whether it said where everything is."""
        said = next((line for line in self.output() if line.startswith("{")), None)
        self._stage = Stage(**json.loads(said)) if said else None
        return said is not None

    def stop(self) -> None:
        """See `Child.stop`; also removes the folder of one that was killed."""
        super().stop()
        if self._stage is not None:
            shutil.rmtree(self._stage.folder, ignore_errors=True)


def missing() -> str | None:
    """What is not installed that a stage needs, in words."""
    for name in PROGRAMS:
        if shutil.which(name) is None:
            return lack(name)
    for name in MODULES:
        if importlib.util.find_spec(name) is None:
            return f"needs {name}: pip install 'llama-exporter[demo,redis]'"
    return None
