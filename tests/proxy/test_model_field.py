"""A body gets another `model`, and nothing else about it changes."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.engine import Engine
from exporter.proxy.model_field import with_model
from tests.fakes.captures import GOLDEN, capture

SIZE = 300_000


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"auto"}', b'{"model":"m"}'),
        (b'{"model": "auto", "stream": true}', b'{"model": "m", "stream": true}'),
        (b' \r\n{\t"stream" : true ,\n "model"\t: "auto"\n} \n', b' \r\n{\t"stream" : true ,\n "model"\t: "m"\n} \n'),
        # Values of any type
        (b'{"model":null}', b'{"model":"m"}'),
        (b'{"model":-1.5e+3,"n":1}', b'{"model":"m","n":1}'),
        (b'{"model":false}', b'{"model":"m"}'),
        (b'{"model": {"model": ["auto"]} , "n": 1}', b'{"model": "m" , "n": 1}'),
        (b'{"model":[],"n":[{}]}', b'{"model":"m","n":[{}]}'),
        (b'{"model":""}', b'{"model":"m"}'),
        # Escapes
        (b'{"m\\u006fdel":"auto"}', b'{"m\\u006fdel":"m"}'),
        (b'{"\\u006D\\u006f\\u0064\\u0065\\u006C":"auto"}', b'{"\\u006D\\u006f\\u0064\\u0065\\u006C":"m"}'),
        (b'{"model":"a\\"\\\\\\"\\\\"}', b'{"model":"m"}'),
        (b'{"a":"\\\\","model":"auto"}', b'{"a":"\\\\","model":"m"}'),
        (b'{"a":"\\\\\\"","model":"auto","b":"\\""}', b'{"a":"\\\\\\"","model":"m","b":"\\""}'),
        # Several
        (b'{"model":"a","model":"b"}', b'{"model":"m","model":"m"}'),
        (b'{"model":1,"n":2,"mode\\u006c":{}}', b'{"model":"m","n":2,"mode\\u006c":"m"}'),
        # None
        (b"{}", b'{"model":"m"}'),
        (b" { } ", b' {"model":"m" } '),
        (b'{ "n": 1}', b'{"model":"m", "n": 1}'),
        (b'{"Model":"a","models":"b"," model":"c"}', b'{"model":"m","Model":"a","models":"b"," model":"c"}'),
        (b'{"a":{"model":"b"},"c":[{"model":"d"}]}', b'{"model":"m","a":{"model":"b"},"c":[{"model":"d"}]}'),
        (b'{"a":"\\"model\\":\\"b\\""}', b'{"model":"m","a":"\\"model\\":\\"b\\""}'),
        (b'{"a":"{\\"model\\":1}]}","b":["}","{"]}', b'{"model":"m","a":"{\\"model\\":1}]}","b":["}","{"]}'),
        # A byte order mark
        (b'\xef\xbb\xbf {"model":"auto"}', b'\xef\xbb\xbf {"model":"m"}'),
        (b"\xef\xbb\xbf{}", b'\xef\xbb\xbf{"model":"m"}'),
        ('{"é":"漢","model":"字"}'.encode(), '{"é":"漢","model":"m"}'.encode()),
    ],
)
def test_only_the_model_changes(body: bytes, changed: bytes) -> None:
    assert with_model(body, "m") == changed


@pytest.mark.parametrize("model", ["", 'a"b\\c\n', "é漢\U0001f600", "\ud800", "Qwen/Qwen3:Q4_K_M"])
def test_any_name_can_be_set(model: str) -> None:
    for body in (b'{"model":"auto","n":1}', b'{"n":1}'):
        changed = with_model(body, model)
        assert changed is not None
        assert json.loads(changed) == {"model": model, "n": 1}


NOT_OBJECTS = [
    *(b"", b" ", b"null", b"1", b'"model"', b"[]", b'[{"model":"a"}]', b'"model":"a"', b"model=auto"),
    *(b"{", b"}", b"{{}}", b"{}{}", b"{},", b"{}x", b"{}\x00", b'{"model":"a"', b'{"model":"a"}}', b'{"model":"a"]'),
    *(b'{"model"}', b'{"model":}', b'{"model" "a"}', b'{model:"a"}', b"{'model':'a'}", b'{:"a"}', b'{1:"a"}'),
    *(b'{"model":"a",}', b'{,"model":"a"}', b'{"a":1,,"b":2}', b'{"a":1 "b":2}', b'{"model":a}', b'{"model":tru}'),
    *(b'{"a":01}', b'{"a":1.}', b'{"a":.5}', b'{"a":+1}', b'{"a":-}', b'{"a":1e}', b'{"a":NaN}', b'{"a":-Infinity}'),
    *(b'{"a":[}', b'{"a":[1}', b'{"a":[[]}', b'{"a":"b}', b'{"a":["b]}', b'{"a":"\\"}', b'{"a', b'{"a\\":1}'),
    *(b'{"a":[1 2]}', b'{"a":[1}]}', b'{"a":{"b"}}', b'{"a":[1,]}', b'{"a":"\n"}', b'{"a":[nul]}', b'{"a":[NaN]}'),
    *(b'{"mo\\del":1}', b'{"\\u00zz":1}', b'{"a":x[]}', b'{"a":[x]}', b'{"a":]}', b'{"a":[] []}', b'{"a"://\n1}'),
    *(b'{"\xff":1}', b'{"a":"\xc3"}', b'{"a":"\xed\xa0\x80"}', b'\xef\xbb{"a":1}', b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}'),
    *('{"model":"a"}'.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32-be")),
    *(b"\x1f\x8b\x08\x00{}", b"--boundary\r\n\r\n{}\r\n--boundary--", b"\x0b{}", b"\xc2\xa0{}"),
]


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_what_is_not_a_json_object_is_left_alone(body: bytes) -> None:
    assert with_model(body, "m") is None


# Any object, written in any way

KEYS = st.sampled_from(["model", "models", "mode", "messages", "", "\\", '"', 'a"model"', "é"]) | st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=30,
)
SPACE = st.text(" \t\r\n", max_size=3)
NAMES = st.text(max_size=12)
INDENT = st.none() | st.integers(0, 3)


@given(document=st.dictionaries(KEYS, VALUES, max_size=6), model=NAMES, indent=INDENT, ascii_only=st.booleans())
def test_the_object_has_the_model_and_is_otherwise_the_same(
    document: dict[str, Any], model: str, indent: int | None, ascii_only: bool
) -> None:
    try:
        body = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:  # lone surrogates cannot be written as they are
        body = json.dumps(document, indent=indent).encode()
    changed = with_model(body, model)
    assert changed is not None
    assert json.loads(changed) == {**document, "model": model}
    if "model" not in document:
        start = changed.index(b'"model":') - 1
        inserted = b'"model":' + json.dumps(model).encode() + (b"," if document else b"")
        assert changed == body[: start + 1] + inserted + body[start + 1 :]


@st.composite
def written(draw: st.DrawFn, text: str) -> str:
    """A string of JSON, any of its characters escaped."""
    plain = json.dumps(text)
    if not draw(st.booleans()):
        return plain
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + '"'


@st.composite
def objects_in_pieces(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """Members: what stands before the value, the value, the key; a key can be repeated."""
    members = []
    for at, key in enumerate(draw(st.lists(KEYS, max_size=6))):
        before = ("," if at else "{") + draw(SPACE) + draw(written(key)) + draw(SPACE) + ":" + draw(SPACE)
        value = json.dumps(draw(VALUES), indent=draw(INDENT), ensure_ascii=draw(st.booleans()))
        try:
            value.encode()
        except UnicodeEncodeError:
            value = '"\\ud800"'
        members.append((before if not at else draw(SPACE) + before, value, key))
    return members


@given(members=objects_in_pieces(), model=NAMES, bom=st.sampled_from(["", "\ufeff"]), before=SPACE, after=SPACE)
def test_every_other_byte_stays(
    members: list[tuple[str, str, str]], model: str, bom: str, before: str, after: str
) -> None:
    name = json.dumps(model)

    def join(change: bool) -> bytes:
        parts = [text + (name if change and key == "model" else value) for text, value, key in members]
        if change and all(key != "model" for _, _, key in members):
            parts = [f'{{"model":{name}' + ("," if members else ""), *parts]
            parts[1:2] = [part.removeprefix("{") for part in parts[1:2]]
        return (bom + before + ("".join(parts) or "{") + after + "}" + after).encode()

    assert with_model(join(change=False), model) == join(change=True)


@given(body=st.binary(max_size=40) | st.text('{}[]",:\\ modelu06f1', max_size=40).map(str.encode), model=NAMES)
def test_nothing_raises(body: bytes, model: str) -> None:
    changed = with_model(body, model)
    try:
        document = json.loads(str(body, "utf-8-sig"))
    except ValueError:
        return
    assert (changed is not None) == isinstance(document, dict)


@given(document=st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), data=st.data())
def test_half_a_body_is_left_alone(document: dict[str, Any], data: st.DataObject) -> None:
    body = json.dumps(document).encode()
    assert with_model(body[: data.draw(st.integers(0, len(body) - 1))], "m") is None


# Real ones


def test_requests_of_captures() -> None:
    requests = {path.stem: capture(path).request.partition(" -d ")[2].encode() for path in GOLDEN.glob("*.http")}
    assert with_model(requests.pop("error-bad-json"), "m") is None
    bodies = [body for body in requests.values() if body]
    assert len(bodies) > 10
    for body in bodies:
        changed = with_model(body, "real-Q4_K_M")
        assert changed is not None
        assert json.loads(changed) == {**json.loads(body), "model": "real-Q4_K_M"}


# Time


def nested(body: bytes) -> bytes:
    return b'{"a":' + body + b',"model":"auto"}'


@pytest.mark.parametrize(
    "value",
    [
        b'"' + b"lorem ipsum dolor " * (SIZE // 18) + b'"',
        json.dumps("\n" * (SIZE // 2)).encode(),
        json.dumps('"' * (SIZE // 2)).encode(),
        json.dumps("\\" * (SIZE // 2)).encode(),
        json.dumps(["\\"] * (SIZE // 8)).encode(),
        json.dumps([{"role": "user", "content": "x"}] * (SIZE // 35)).encode(),
        b"[" * (SIZE // 2) + b"]" * (SIZE // 2),
        b"[" * 20_000 + b"[]," * (SIZE // 3) + b"[]" + b"]" * 20_000,
        b"[" * 20_000 + b'"\\"]",' * (SIZE // 6) + b"0" + b"]" * 20_000,
        b"[" + b"[]," * (SIZE // 3) + b"[]]",
        b"[" + b"[[[[[[[]]]]]]]," * (SIZE // 15) + b"[]]",
        b"[0," * (SIZE // 4) + b"0" + b"]" * (SIZE // 4),
        b'{"":' * (SIZE // 5) + b"1" + b"}" * (SIZE // 5),
        b"[" + b" " * SIZE + b"]",
        b"1" * SIZE,
    ],
    ids=lambda value: f"{value[:12].decode()}...",
)
def test_time_is_linear_whatever_the_body_holds(value: bytes) -> None:
    body = nested(value)
    started = time.process_time()
    assert with_model(body, "m") == body[: -len(b'"auto"}')] + b'"m"}'
    assert with_model(body[:-1], "m") is None
    assert time.process_time() - started < 3  # a tenth of that at most; what is not linear takes several times that


@pytest.mark.parametrize("value", [b"[" * SIZE, b'{"":' * (SIZE // 4), b'"' + b"\\" * SIZE, b'["' * SIZE])
def test_time_is_linear_where_it_is_no_json(value: bytes) -> None:
    started = time.process_time()
    assert with_model(b'{"model":' + value, "m") is None
    assert time.process_time() - started < 3


# A real parser


async def test_a_real_server_reads_what_we_write(engine: Engine) -> None:
    """Its parser takes a byte order mark and, of several values, believes one; whichever, it is ours."""
    bodies = [
        b'\xef\xbb\xbf{"model":"auto","prompt":"hi","n_predict":1}',
        b'{"model":"auto","prompt":"hi","n_predict":1,"m\\u006fdel":null}',
        b'{ "prompt":"hi","n_predict":1}',
    ]
    async with httpx.AsyncClient(base_url=engine.url, timeout=30) as client:
        for body in bodies:
            changed = with_model(body, "ours")
            assert changed is not None
            answer = await client.post("/completion", content=changed, headers={"Content-Type": "application/json"})
            assert answer.status_code == 200, answer.text
