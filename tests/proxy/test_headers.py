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


OURS, SECURE = b"llama_exporter_0a1b2c3d", b"__Host-llama_exporter_0a1b2c3d"
SESSION = b"plain.aKq0xQ.Zm9v-bar_"


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (b"%s", []),
        (b"%s; a=1; b=2", [b"a=1; b=2"]),
        (b"a=1; b=2; %s", [b"a=1; b=2"]),
        (b"a=1; %s; b=2", [b"a=1; b=2"]),
        (b"%s; a=1; %s; b=2; %s", [b"a=1; b=2"]),
        (b"%s; %s", []),
        (b"a=1;%s;b=2", [b"a=1;b=2"]),
        (b"a=1 ;\t%s ;  b = 2", [b"a=1 ;  b = 2"]),
        (b" \t%s ; a=1 ;", [b"a=1 ;"]),
        (b"%s;", []),
        (b" ; ;%s;\t; ", []),
        (b"a=1;; %s", [b"a=1;"]),
        (b'a="x, y"; %s; b=caf\xe9\xff', [b'a="x, y"; b=caf\xe9\xff']),
        (b'a="x; %s; y"', [b'a="x; y"']),
        (b"=; %s; a; b=c=d", [b"=; a; b=c=d"]),
    ],
)
@pytest.mark.parametrize("name", [OURS, SECURE])
def test_our_sessions_stay_here(name: bytes, sent: bytes, passed: list[bytes]) -> None:
    """Browsers send the cookies of a host to all of its ports. What else is in the field is not touched."""
    for ours in (name + b"=" + SESSION, name + b'="' + SESSION + b'"', name + b" = x", name + b"=", name):
        fields = [(b"a", b"1"), (b"cookie", sent.replace(b"%s", ours)), (b"b", b"2")]
        assert end_to_end(fields) == [(b"a", b"1"), *((b"cookie", each) for each in passed), (b"b", b"2")]


def test_each_cookie_field_is_looked_at() -> None:
    values = [OURS + b"=1", b"a=1;  b=2 ", SECURE + b"=1; c=3", b"", OURS + b"=2", b"a=1;  b=2 "]
    kept = [value for _, value in end_to_end([(b"cookie", value) for value in values])]
    assert kept == [b"a=1;  b=2 ", b"c=3", b"", b"a=1;  b=2 "]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ; ;",
        b";;a=1 ;\tb=2; ",
        b"x_" + OURS + b"=1",
        b" a=" + OURS + b"=1; b=2 ",
        b"a=1; x" + SECURE + b"=1;",
        b"llama_exporter=1; Llama_Exporter_x=2; __host-llama_exporter_x=3; __Secure-llama_exporter_x=4",
        b"a=1, " + OURS + b"=1",
    ],
)
def test_other_cookies_are_not_touched(value: bytes) -> None:
    assert end_to_end([(b"cookie", value)]) == [(b"cookie", value)]


def test_in_other_fields_our_sessions_are_not_looked_for() -> None:
    fields = [(name, OURS + b"=1") for name in (b"set-cookie", b"x-cookie", b"cookie2", b"authorization")]
    assert end_to_end(fields) == fields


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=6) | st.sampled_from([OURS, SECURE, b"=", b";", b" "]), max_size=12))
def test_of_any_cookies_ours_alone_are_dropped(parts: list[bytes]) -> None:
    value = b"".join(parts)
    kept = [passed for _, passed in end_to_end([(b"cookie", value)])]
    assert not [name for passed in kept for name in _names(passed) if name.startswith((OURS, SECURE))]
    others = [name for name in _names(value) if not name.startswith((OURS, SECURE))]
    assert [name for passed in kept for name in _names(passed) if name] == [name for name in others if name]


def _names(value: bytes) -> list[bytes]:
    return [item.partition(b"=")[0].strip() for item in value.split(b";")]


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
