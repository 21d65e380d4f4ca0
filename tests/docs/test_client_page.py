"""The example of docs/client.md does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

from exporter.client.collector import DEFAULT_URL
from tests.client.llama_proxy.manager import Manager
from tests.client.recorder import Recorder
from tests.client.threaded import LIMIT_SECONDS, wait_until
from tests.nextjs_document import UPDATE

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_example_records_what_it_shows(free_port: int) -> None:
    example = examples()[0]
    assert DEFAULT_URL in example
    with Recorder(free_port) as recorder:
        command = [sys.executable, "-c", example.replace(DEFAULT_URL, recorder.url)]
        subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
    assert recorder.received == [
        (
            "/api/metrics/record/routing",
            {"complexity": "COMPLEX", "tier": "Q4", "score": 8.2, "decision_time_ms": 0.4, "is_fallback": False},
        ),
        (
            "/api/metrics/record/query",
            {
                "tier": "Q4",
                "latency_ms": 1840.0,
                "tokens_generated": 212,
                "generation_time_ms": 1610.0,
                "is_error": False,
            },
        ),
        ("/api/metrics/record/availability", {"tier": "Q4", "available": 1, "total": 2}),
    ]


def test_the_example_manages_what_it_shows(free_port: int) -> None:
    example = examples()[1]
    assert f"{DEFAULT_URL}/api" in example
    with Manager(free_port) as manager:
        telling = threading.Thread(target=tell_figures, args=(manager,))
        telling.start()
        command = [sys.executable, "-c", example.replace(DEFAULT_URL, manager.url)]
        done = subprocess.run(command, check=True, timeout=LIMIT_SECONDS, capture_output=True, text=True)
        telling.join()
    assert done.stdout.splitlines() == ["llama-3-8b-instruct Q4_K_M 8192", "running", "CPU: 45.2%"]
    assert [(each.method, each.path, each.body) for each in manager.asked] == [
        ("POST", "/api/models/discover", {"recursive": True}),
        ("POST", "/api/models", {"models": [{"name": "tiny", "path": "/srv/models/tiny.gguf"}]}),
        ("POST", "/api/models/tiny/load", {"config": {"n_ctx": 2048, "temperature": 0.7}}),
        ("GET", "/api/models/tiny", None),
        ("POST", "/api/models/tiny/unload", {}),
    ]


def tell_figures(manager: Manager) -> None:
    wait_until(lambda: manager.listeners)
    manager.emit(UPDATE)
