"""The nginx snippet of docs/api-synapse.md: with it, the pages of a front end can poll, record, and use the WebSocket;
and how a program reads that with a key (docs/api.md)."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.docs.pages import ADMIN
from tests.end_to_end.sidecar import Sidecar

DOCS = Path(__file__).parents[2] / "docs"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
LIMIT_SECONDS = 10
CONFIG = """\
daemon off;
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        {snippet}
    }}
}}
"""


def snippet(admin: str) -> str:
    (found,) = re.findall(r"```nginx\n(.*?)```", (DOCS / "api-synapse.md").read_text(encoding="utf-8"), re.DOTALL)
    assert ADMIN in found
    return str(found).replace(ADMIN, admin)


@pytest.fixture
def site(tmp_path: Path, free_port: int) -> Iterator[str]:
    """Where nginx listens, with a sidecar behind it."""
    if NGINX is None:
        pytest.skip("needs nginx")
    with Sidecar("--upstream", "http://127.0.0.1:9") as sidecar:
        config = CONFIG.format(port=free_port, snippet=snippet(sidecar.admin))
        (tmp_path / "nginx.conf").write_text(config)
        with subprocess.Popen([NGINX, "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf"]) as nginx:
            try:
                wait_until_open(free_port)
                yield f"127.0.0.1:{free_port}"
            finally:
                nginx.terminate()


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_front_end_behind_nginx(site: str) -> None:
    origin = f"http://{site}"
    with httpx.Client(base_url=origin, headers={"origin": origin}, trust_env=False) as page:
        for path in ("/api/metrics/tiers", "/api/models/status", "/api/orchestrator/status"):
            assert page.get(path).status_code == 200
        recorded = page.post("/api/metrics/record/query", json={"tier": "Q2", "latency_ms": 1.0})
        assert (recorded.status_code, recorded.json()) == (202, {"recorded": True})
    with connect(f"ws://{site}/api/metrics/ws", origin=Origin(origin), proxy=None) as socket_:
        assert all('"metrics_update"' in str(socket_.recv(LIMIT_SECONDS)) for _ in range(2))


def test_a_program_with_a_key() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    with Sidecar("--upstream", "http://127.0.0.1:9", environment={"PROXY_API_KEY": "KEY"}) as sidecar:
        program = example.replace(ADMIN.removeprefix("http"), sidecar.admin.removeprefix("http"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=LIMIT_SECONDS)
    assert b'"metrics_update"' in done.stdout
