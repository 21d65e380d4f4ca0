"""Sockets: bound before anything runs, with one clear line when that fails; requests go by port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exporter import listeners
from exporter.errors import StartupError
from exporter.settings import split_address


@contextmanager
def bound(address: str) -> Iterator[socket.socket]:
    listener = listeners.bind(address, "x.listen")
    try:
        yield listener
    finally:
        listener.close()


def test_url_and_reach() -> None:
    with bound("127.0.0.1:0") as here, bound(":0") as everywhere:
        assert listeners.url(here) == f"http://127.0.0.1:{here.getsockname()[1]}"
        assert listeners.is_loopback(here)
        assert not listeners.is_loopback(everywhere)


def test_ipv6() -> None:
    try:
        with bound("[::1]:0") as listener:
            assert listeners.url(listener).startswith("http://[::1]:")
            assert listeners.is_loopback(listener)
    except StartupError as exc:
        pytest.skip(f"this machine has no IPv6: {exc}")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.7:80", "this machine has no such address"),
        ("no-such-host.invalid:80", "the host name is not known"),
    ],
)
def test_refusals_name_setting_and_address(address: str, reason: str) -> None:
    with pytest.raises(StartupError) as caught:
        listeners.bind(address, "proxy.listen")
    assert str(caught.value) == f"proxy.listen: {address}: {reason}"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":80", ("0.0.0.0", 80)),
        ("[::1]:80", ("::1", 80)),
        ("host:0", ("host", 0)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["80", "host", "host:", "host:a", "host:70000", "::1:80", ""])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        split_address(address)


async def test_requests_go_by_port() -> None:
    seen: list[str] = []

    def app(name: str) -> Any:
        async def serve(*_: Any) -> None:
            seen.append(name)

        return serve

    dispatcher = listeners.Dispatcher({1: app("proxy"), 2: app("admin")})
    for port in (2, 1, 2):
        await dispatcher({"server": ("127.0.0.1", port)}, app(""), app(""))
    assert seen == ["admin", "proxy", "admin"]
