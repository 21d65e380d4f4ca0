"""The nginx snippets of docs/api-synapse.md (with it, the pages of a front end can poll, record, and use the WebSocket)
and docs/api-monitoring.md (people sign in, and the page is live); and how a program reads with a key (docs/api.md)."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    {site}
}}
"""
LOCATIONS = """\
server {{
    listen 127.0.0.1:{port};
    {snippet}
}}
"""
KEY = "a-key-for-the-tests"


def snippet(page: str, admin: str) -> str:
    (found,) = re.findall(r"```nginx\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert ADMIN in found
    return str(found).replace(ADMIN, admin)


@contextmanager
def serving(folder: Path, site: str, port: int) -> Iterator[str]:
    """Where nginx listens that has this site."""
    if NGINX is None:
        pytest.skip("needs nginx")
    (folder / "nginx.conf").write_text(CONFIG.format(site=site))
    with subprocess.Popen([NGINX, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]) as nginx:
        try:
            wait_until_open(port)
            yield f"127.0.0.1:{port}"
        finally:
            nginx.terminate()


@pytest.fixture
def site(tmp_path: Path, free_port: int) -> Iterator[str]:
    """A front end, with a sidecar behind it."""
    with Sidecar("--upstream", "http://127.0.0.1:9") as sidecar:
        front_end = LOCATIONS.format(port=free_port, snippet=snippet("api-synapse.md", sidecar.admin))
        with serving(tmp_path, front_end, free_port) as address:
            yield address


@pytest.fixture
def page_site(tmp_path: Path, free_port: int) -> Iterator[str]:
    """The page, of a sidecar with a key; without TLS, which has nothing to do with what is passed on."""
    with Sidecar("--upstream", "http://127.0.0.1:9", environment={"PROXY_API_KEY": KEY}) as sidecar:
        whole = snippet("api-monitoring.md", sidecar.admin)
        assert "listen 443 ssl;" in whole
        with serving(tmp_path, whole.replace("443 ssl", f"127.0.0.1:{free_port}"), free_port) as address:
            yield address


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


def test_the_page_behind_nginx(page_site: str) -> None:
    origin = f"http://{page_site}"
    with httpx.Client(base_url=origin, headers={"origin": origin}, trust_env=False) as browser:
        assert browser.get("/monitoring/now").status_code == 401
        signed_in = browser.post("/monitoring?section=models", data={"key": KEY})
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/monitoring?section=models")
        assert browser.get("/monitoring/now").json()["keys"]
        with browser.stream("GET", "/metrics/active-requests/stream") as events:
            assert next(events.iter_lines()) == "event: update"
        # There is no such model; pages of others would not be told.
        assert browser.post("/api/models/nobody/load", json={}).status_code == 404
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with connect(
        f"ws://{page_site}/api/metrics/ws", origin=Origin(origin), additional_headers={"cookie": cookies}, proxy=None
    ) as socket_:
        assert '"metrics_update"' in str(socket_.recv(LIMIT_SECONDS))


def test_a_program_with_a_key() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "api.md").read_text(encoding="utf-8"), re.DOTALL)
    with Sidecar("--upstream", "http://127.0.0.1:9", environment={"PROXY_API_KEY": "KEY"}) as sidecar:
        program = example.replace(ADMIN.removeprefix("http"), sidecar.admin.removeprefix("http"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=LIMIT_SECONDS)
    assert b'"metrics_update"' in done.stdout
