"""The rules for header fields, without a network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.proxy.headers import HOP_BY_HOP, end_to_end, find

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
FIELDS = st.lists(st.tuples(TOKEN | st.sampled_from(sorted(HOP_BY_HOP)), st.binary(max_size=20)), max_size=20)


def test_order_repeats_and_values_are_kept() -> None:
    fields = [(b"b", b"1"), (b"a", b""), (b"b", b"2"), (b"b", b"1"), (b"c", b" x,\xff ")]
    assert end_to_end(fields) == fields


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_each_hop_by_hop_field_is_dropped(name: bytes) -> None:
    assert end_to_end([(b"a", b"1"), (name, b"x"), (b"b", b"2"), (name, b"y")]) == [(b"a", b"1"), (b"b", b"2")]


@pytest.mark.parametrize("value", [b"x-a", b"X-A", b" x-a , close", b"keep-alive,x-a", b",,x-a,", b"close,\tX-a\t"])
def test_what_connection_names_is_dropped_wherever_it_stands(value: bytes) -> None:
    before = [(b"x-a", b"1"), (b"x-b", b"2"), (b"connection", value), (b"x-a", b"3")]
    assert end_to_end(before) == [(b"x-b", b"2")]


def test_several_connection_fields_add_up() -> None:
    fields = [(b"connection", b"x-a"), (b"x-a", b"1"), (b"connection", b"x-b"), (b"x-b", b"2"), (b"x-c", b"3")]
    assert end_to_end(fields) == [(b"x-c", b"3")]


@pytest.mark.parametrize("name", [b"host", b"content-length"])
def test_what_frames_and_addresses_a_message_cannot_be_named(name: bytes) -> None:
    fields = [(name, b"1"), (b"connection", name + b", close, x")]
    assert end_to_end(fields) == [(name, b"1")]


@settings(max_examples=50, deadline=None)
@given(FIELDS)
def test_what_is_kept_is_a_subsequence(fields: list[tuple[bytes, bytes]]) -> None:
    kept = end_to_end(fields)
    rest = iter(fields)
    assert all(field in rest for field in kept)
    assert not {name for name, _ in kept} & HOP_BY_HOP


@settings(max_examples=50, deadline=None)
@given(FIELDS)
def test_without_hop_by_hop_fields_all_is_kept(fields: list[tuple[bytes, bytes]]) -> None:
    plain = [field for field in fields if field[0] not in HOP_BY_HOP]
    assert end_to_end(plain) == plain
    assert end_to_end(end_to_end(fields)) == end_to_end(fields)


def test_the_first_value_is_found() -> None:
    fields = [(b"a", b""), (b"b", b"1"), (b"b", b"2")]
    assert find(fields, b"b") == b"1"
    assert find(fields, b"a") == b""
    assert find(fields, b"c") is None
