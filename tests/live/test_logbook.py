"""The logbook: the newest lines, whoever says them and whatever they hold."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import httpx
import pytest

from exporter.live.logbook import (
    DEPTH_LIMIT,
    FIELDS_LIMIT,
    LLAMA_SERVER,
    MESSAGE_LIMIT,
    PROXY,
    Line,
    Logbook,
)


@pytest.fixture
def logbook() -> Logbook:
    return Logbook(wall=lambda: 1000.0, lines=5)


@pytest.fixture
def logger(logbook: Logbook) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.logbook")
    logger.addHandler(logbook)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.removeHandler(logbook)


def fields_of(logbook: Logbook, value: Any) -> Any:
    logbook.add("info", PROXY, "x", {"value": value})
    kept = logbook.after(logbook.newest - 1)[0].fields["value"]
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    return kept


def test_what_is_logged_is_kept_with_what_stands_beside_it(logbook: Logbook, logger: logging.Logger) -> None:
    logger.warning("upstream %s is away", "gpu-0", extra={"tiers": ["Q2", "Q4"], "port": 1, "reason": None})
    (line,) = logbook.after(0)
    fields = {"tiers": ["Q2", "Q4"], "port": 1, "reason": None}
    assert line == Line(1, line.wall, "warn", PROXY, "upstream gpu-0 is away", fields)


@pytest.mark.parametrize(
    ("number", "level"), [(10, "debug"), (20, "info"), (25, "info"), (30, "warn"), (40, "error"), (50, "error")]
)
def test_levels(logbook: Logbook, logger: logging.Logger, number: int, level: str) -> None:
    logger.log(number, "x")
    assert logbook.after(0)[0].level == level


def test_lines_of_others_are_kept_beside_ours(logbook: Logbook) -> None:
    logbook.add("error", LLAMA_SERVER, "out of memory", {"model": "a"})
    logbook.add("info", PROXY, "later", wall=2000.0)
    assert logbook.after(0) == [
        Line(1, 1000.0, "error", LLAMA_SERVER, "out of memory", {"model": "a"}),
        Line(2, 2000.0, "info", PROXY, "later", {}),
    ]


def test_only_the_newest_lines_are_kept(logbook: Logbook) -> None:
    assert (logbook.newest, logbook.after(0)) == (0, [])
    for number in range(1, 8):
        logbook.add("info", PROXY, str(number))
    assert logbook.newest == 7
    assert [(line.number, line.message) for line in logbook.after(0)] == [(n, str(n)) for n in range(3, 8)]
    assert [line.number for line in logbook.after(5)] == [6, 7]
    assert logbook.after(7) == logbook.after(100) == []
    assert len(logbook.after(-3)) == 5


def test_a_long_line_is_cut(logbook: Logbook) -> None:
    logbook.add("info", PROXY, "x" * 10_000_000, {"detail": "y" * 10_000_000})
    (line,) = logbook.after(0)
    assert (len(line.message), len(line.fields["detail"])) == (MESSAGE_LIMIT, MESSAGE_LIMIT)


class Colour(StrEnum):
    RED = "red"


class Broken:
    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (True, True),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (Colour.RED, "red"),
        (httpx.URL("http://h:1"), "http://h:1"),
        ((1, "a", None), [1, "a", None]),
        ({"a": {1: b"x"}}, {"a": {"1": "b'x'"}}),
        ({3}, [3]),
        (Broken(), "a Broken that cannot be shown"),
        (list(range(1000)), list(range(FIELDS_LIMIT))),
    ],
)
def test_values_that_json_lacks_become_text(logbook: Logbook, value: Any, kept: Any) -> None:
    assert fields_of(logbook, value) == kept


def test_values_within_values_have_an_end(logbook: Logbook) -> None:
    endless: list[Any] = []
    endless.append(endless)
    kept = fields_of(logbook, endless)
    for _ in range(DEPTH_LIMIT - 1):
        (kept,) = kept
    assert kept == ["[[...]]"]


def test_fields_are_few(logbook: Logbook) -> None:
    logbook.add("info", PROXY, "x", {str(number): number for number in range(1000)})
    assert len(logbook.after(0)[0].fields) == FIELDS_LIMIT


def test_an_exception_is_named(logbook: Logbook, logger: logging.Logger) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it failed", extra={"task": "x"})
    logger.error("it failed again", exc_info=True)
    first, second = logbook.after(0)
    assert first.fields == {"task": "x", "exception": "ValueError('broken')"}
    assert second.fields == {}


class BrokenError(Exception):
    __str__ = __repr__ = Broken.__str__


@pytest.mark.parametrize(
    ("message", "arguments", "error"), [("%d of %d", ("a",), None), ("%s", (Broken(),), None), ("x", (), BrokenError())]
)
def test_a_record_that_cannot_be_read_harms_nobody(
    logbook: Logbook, message: str, arguments: tuple[Any, ...], error: Exception | None
) -> None:
    raised = None if error is None else (type(error), error, None)
    logbook.handle(logging.LogRecord("exporter.x", logging.ERROR, "x.py", 1, message, arguments, raised))
    (line,) = logbook.after(0)
    assert (line.level, line.message) == ("error", f"a line of exporter.x that cannot be read: {message!r}")


def test_numbers_rise_and_none_is_missing_whoever_adds() -> None:
    logbook, seen = Logbook(lines=100_000), list[int]()
    stop = threading.Event()

    def add() -> None:
        for _ in range(3000):
            logbook.add("info", PROXY, "x")

    def read() -> None:
        while not stop.is_set():
            seen.extend(line.number for line in logbook.after(seen[-1] if seen else 0))

    reader, adders = threading.Thread(target=read), [threading.Thread(target=add) for _ in range(4)]
    for thread in (reader, *adders):
        thread.start()
    for thread in adders:
        thread.join()
    stop.set()
    reader.join()
    assert seen == list(range(1, len(seen) + 1))
    assert [line.number for line in logbook.after(0)] == list(range(1, 12_001))
