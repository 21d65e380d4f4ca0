"""The three ways from the load generator to the upstream: direct, through nginx, through llama-exporter."""

from __future__ import annotations

import http.client
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import nginx
from tests.bench.cases import PATH
from tests.bench.processes import StartError, free_port, listens, running

DIRECT, NGINX, OURS = "direct", "nginx", "llama-exporter"
TIERS = ("Q2", "Q3", "Q4")

ONE_UPSTREAM = "--upstream http://127.0.0.1:{upstream_port}"
NO_STORE = "--store none"
"""What keeping history costs is a case of its own."""
PROXY_COMMAND = (
    f"{shlex.quote(sys.executable)} -m exporter serve {ONE_UPSTREAM} {NO_STORE} "
    "--proxy-listen 127.0.0.1:{proxy_port} --admin-listen 127.0.0.1:{admin_port}"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes, and the processes that are to be measured."""

    name: str
    port: int
    pids: tuple[int, ...] = ()
    admin_port: int | None = None
    """Where `/metrics` is; None where there is none."""


@contextmanager
def start_upstream() -> Iterator[Target]:
    """The upstream, which is the target for `direct` as well."""
    with start_upstreams(1) as (port,):
        yield Target(DIRECT, port)


@contextmanager
def start_upstreams(count: int) -> Iterator[list[int]]:
    """Several upstreams in one process, for more of them would compete for the processor: their ports."""
    with _serving("tests.bench.upstream", str(count)) as ports:
        yield ports


@contextmanager
def start_collector() -> Iterator[int]:
    """A receiver of OTLP over HTTP: its port."""
    with _serving("tests.bench.collector") as (port,):
        yield port


@contextmanager
def _serving(module: str, *arguments: str) -> Iterator[list[int]]:
    """Run a module that prints its ports, and serves until its standard input is closed."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.stdin.close()


@contextmanager
def start_nginx(home: Path, upstream_port: int) -> Iterator[Target]:
    """Nginx in front of the upstream. Raises StartError, also when it is not installed."""
    port = free_port()
    try:
        command = nginx.command(home, port, upstream_port)
    except FileNotFoundError as error:
        raise StartError(str(error)) from error
    with running(command, home / "nginx.log", partial(listens, port)) as pids:
        yield Target(NGINX, port, pids)


@contextmanager
def start_ours(home: Path, upstream_port: int, template: str) -> Iterator[Target]:
    """llama-exporter, or a proxy whose command names {upstream_port}, {proxy_port}, {admin_port}. Raises StartError."""
    port, admin_port = free_port(), free_port()
    command = shlex.split(template.format(upstream_port=upstream_port, proxy_port=port, admin_port=admin_port))
    has_admin = "{admin_port}" in template
    ready = partial(_is_healthy, admin_port) if has_admin else partial(listens, port)
    with running(command, home / "proxy.log", ready) as pids:
        yield Target(OURS, port, pids, admin_port if has_admin else None)


def routed_command(ports: Sequence[int]) -> str:
    """The command of llama-exporter with an upstream per tier in the place of the one; for `start_ours`."""
    upstreams = zip(TIERS, ports, strict=True)
    several = " ".join(f"--upstream {tier}=http://127.0.0.1:{port}" for tier, port in upstreams)
    return PROXY_COMMAND.replace(ONE_UPSTREAM, several)


def _is_healthy(admin_port: int) -> bool:
    try:
        return _fetch(admin_port, "GET", "/-/healthy")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _fetch(port: int, method: str, target: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, body=b"{}" if method == "POST" else None)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def relays_faithfully(target: Target, direct: Target) -> bool:
    """Whether a JSON answer and a stream have, through the target, the same status and body as without it."""
    try:
        return all(
            _fetch(target.port, "POST", PATH + query) == _fetch(direct.port, "POST", PATH + query)
            for query in ("", "?n=64&ms=0")
        )
    except (OSError, http.client.HTTPException):
        return False
