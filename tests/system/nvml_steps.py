"""Run as a process of its own by test_nvidia, so that the dynamic loader finds the library of that test and no other.

Takes a JSON list of steps, each with environment variables to set (null removes one), a time, and whether to close
first; samples once per step and prints what came of each.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import sys
from dataclasses import asdict
from typing import Any

from exporter.errors import CollectorError
from exporter.system.nvidia import NvidiaCollector


class Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


def main(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    now = 0.0
    log = Log()
    logging.getLogger("exporter").addHandler(log)
    logging.getLogger("exporter").setLevel(logging.DEBUG)
    collector = NvidiaCollector(clock=lambda: now)
    results: list[dict[str, Any]] = []
    for step in steps:
        now = step["now"]
        for name, value in step["environment"].items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if step["close"]:
            collector.close()
        result: dict[str, Any] = {"gpus": None, "error": None}
        try:
            result["gpus"] = [asdict(gpu) for gpu in collector.collect()]
        except CollectorError as error:
            result["error"] = str(error)
        result |= {"available": collector.available, "log": list(log.lines), "starts": None}
        with contextlib.suppress(OSError):
            result["starts"] = ctypes.CDLL("libnvidia-ml.so.1").fake_nvml_starts()
        results.append(result)
    collector.close()
    results[-1]["closed"] = not collector.available
    return results


if __name__ == "__main__":
    if settings := os.environ.get("COVERAGE_SETTINGS"):
        import coverage

        # A file of its own, which the test run's coverage takes in at its end.
        coverage.Coverage(config_file=settings, data_suffix=True, auto_data=True).start()
    print(json.dumps(main(json.loads(sys.argv[1]))))
