"""The events of a router: whatever comes, in whatever pieces, within bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.models.router.events import LINE_BYTES, Lines, RouterEvent, parse_event
from exporter.system.snapshot import ModelState

LOADED = {
    "model": "tiny-A",
    "event": "status_change",
    "data": {
        "status": "loaded",
        "info": {
            "id": "tiny-A",
            "aliases": ["tiny-A"],
            "object": "model",
            "meta": {"n_ctx": 512, "n_ctx_train": 8192, "n_params": 184768, "size": 739072, "ftype": "all F32"},
        },
    },
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def data(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode()


def about(model: object, **fields: object) -> bytes:
    return data({"model": model, "event": "status_change", "data": fields})


def test_the_begin_and_the_end_of_a_load() -> None:
    assert parse_event(about("a", status="loading")) == RouterEvent("a", ModelState.LOADING)
    event = parse_event(data(LOADED))
    assert event is not None
    assert event.info is not None
    assert (event.model, event.state) == ("tiny-A", ModelState.LOADED)
    assert (event.info.context_size, event.info.size_bytes, event.info.aliases) == (512, 739072, ())
    ended = parse_event(about("a", status="unloaded", exit_code=1))
    assert ended == RouterEvent("a", ModelState.UNLOADED, exit_code=1)


@pytest.mark.parametrize(
    ("stages", "current", "value", "share"),
    [
        (["text_model"], "text_model", 0.25, 0.25),
        (["text_model", "mmproj"], "mmproj", 0.5, 0.75),
        (["text_model", "mmproj"], "another", 1, 0.5),
        ([], "text_model", 7, 1.0),
        (None, None, -1, 0.0),
        ([], "text_model", "half", None),
        ([], "text_model", True, None),
        ([], "text_model", 10**400, 1.0),
    ],
)
def test_progress_is_that_of_the_whole_load(stages: object, current: object, value: object, share: float) -> None:
    event = parse_event(about("a", status="loading", progress={"stages": stages, "current": current, "value": value}))
    assert event is not None
    assert event.share == share
    assert event.stage == current


def test_after_some_events_the_list_has_to_be_read_again() -> None:
    for name in ("models_reload", "model_remove", "download_finished"):
        assert parse_event(data({"model": "*", "event": name})) == RouterEvent(None)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b": a comment",
        b"event: x",
        b"data: ",
        b"data: {",
        b"data: []",
        b"data: " + b"[" * 100_000,
        data({"model": "a", "event": "download_progress", "data": {"done": 1}}),
        data({"model": "*", "event": ["models_reload"]}),
        about("a", status="pondering"),
        about("a", status=None),
        about(7, status="loaded"),
    ],
)
def test_what_is_not_known_is_left_out(line: bytes) -> None:
    assert parse_event(line) is None


@given(JSON, JSON, JSON)
def test_no_document_makes_it_fail(status: object, progress: object, info: object) -> None:
    parse_event(about("a", status=status, progress=progress, info=info, exit_code=info))
    parse_event(about("a", status="loading", progress={"stages": progress, "current": info, "value": status}))
    parse_event(data(info))


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and b"\r" not in line)))
def test_lines_are_the_same_in_whatever_pieces_they_come(lines: list[bytes]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    for size in (1, 2, 7, len(stream) or 1):
        reader = Lines()
        pieces = (stream[start : start + size] for start in range(0, len(stream), size))
        assert [line for piece in pieces for line in reader.feed(piece)] == lines


def test_a_line_without_an_end_takes_no_memory_and_the_next_one_is_read() -> None:
    reader = Lines()
    for _ in range(40):
        assert list(reader.feed(b"x" * (LINE_BYTES // 4))) == []
    assert len(reader._rest) <= LINE_BYTES
    assert list(reader.feed(b"xxx\r\nnext\r\n")) == [b"next"]
