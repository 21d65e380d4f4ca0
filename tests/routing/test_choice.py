"""The order in which upstreams are considered."""

from __future__ import annotations

import httpx

from exporter.routing.choice import candidates
from exporter.routing.upstream import Upstream

A, B, C = (Upstream(name, httpx.URL(f"http://{name}")) for name in "abc")
SERVED = {"a": frozenset({"small"}), "c": frozenset({"large", "big"})}


def test_who_serves_the_model_comes_first() -> None:
    assert list(candidates([A, B, C], "big", SERVED)) == [C, A, B]
    assert list(candidates([A, B, C], "small", SERVED)) == [A, B, C]


def test_configured_order_where_nothing_tells() -> None:
    assert list(candidates([A, B, C], None, SERVED)) == [A, B, C]
    assert list(candidates([A, B, C], "nobody's", SERVED)) == [A, B, C]
    assert list(candidates([B], "large", SERVED)) == [B]


def test_who_is_down_comes_last() -> None:
    assert list(candidates([A, B, C], None, SERVED, {"a"})) == [B, C, A]
    assert list(candidates([A, B, C], "big", SERVED, {"c"})) == [A, B, C]
    assert list(candidates([A], "big", SERVED, {"a"})) == [A]


def test_path_of_the_upstream() -> None:
    assert Upstream("x", httpx.URL("http://h/base/")).path_prefix == b"/base"
    assert Upstream("x", httpx.URL("http://h")).path_prefix == b""
