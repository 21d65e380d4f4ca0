"""Something to show: the demo, on a machine with two GPUs of the fake NVML, and a Prometheus with the shipped rules and
alerts. `__main__` starts it for `--demo`."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.config import environment_without_settings
from tests.end_to_end.prometheus import program, running
from tests.system.fake_nvml import compile_library

ROOT = Path(__file__).parent.parent.parent
LOW_PRIORITY = ("nice", "-n", "19")
CONFIG = """\
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s, scrape_timeout: {interval}s}}
rule_files: ["{rules}/rules/*.yml", "{rules}/alerts/*.yml"]
scrape_configs:
  - job_name: llama-exporter
    static_configs: [{{targets: ["{target}"]}}]
"""


@contextmanager
def played(folder: Path, seconds: float, scrape_interval: float) -> Iterator[str]:
    """The address of a Prometheus that has watched the demo for so long."""
    admin = _free_address()
    with _demo(folder, admin), _prometheus(folder, admin, scrape_interval) as prometheus:
        time.sleep(seconds)
        yield prometheus


@contextmanager
def _demo(folder: Path, admin: str) -> Iterator[None]:
    compile_library(folder)
    command = [*LOW_PRIORITY, sys.executable, "-m", "exporter", "demo", "--admin-listen", admin]
    environment = {
        **environment_without_settings(),
        "LD_LIBRARY_PATH": str(folder),
        "FAKE_NVML_FILE": str(folder / "gpus"),
    }
    with (folder / "demo.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--proxy-listen", _free_address()], stdout=log, stderr=log, env=environment, cwd=ROOT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _prometheus(folder: Path, target: str, interval: float) -> Iterator[str]:
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(interval=round(interval), rules=ROOT / "prometheus", target=target))
    address = _free_address()
    command = [
        *(*LOW_PRIORITY, program("prometheus"), f"--config.file={config}", f"--web.listen-address={address}"),
        *(f"--storage.tsdb.path={folder / 'data'}", "--enable-feature=exemplar-storage"),
    ]
    with running(command, folder / "prometheus.log", f"http://{address}/-/ready"):
        yield f"http://{address}"


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
