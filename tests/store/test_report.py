"""What the check says."""

from __future__ import annotations

from collections import Counter

import pytest

from exporter.store.check import Difference
from exporter.store.report import LINES, Report, describe, write_size
from tests.store.requests import MIDNIGHT_US

KEYS = ("box:8001", "tiny", "Q4", "", "completed", True, 200, "", "stop")
ALIKE = Difference(3600, MIDNIGHT_US, KEYS, {"input_tokens": (5, 4), "requests": (2, 1)})


def report() -> Report:
    requests = Counter({"a:1": 1200, "b:1": 34})
    return Report(
        "sqlite:///h.db", "0001", size_bytes=3 << 19, samples=7, days=1, requests=requests, oldest_us=0, damages=[]
    )


def test_a_report_of_a_store_that_is_well() -> None:
    good = report()
    good.newest_us = good.kept_since_us = MIDNIGHT_US
    assert good.well
    assert list(good.lines()) == [
        "sqlite:///h.db: revision 0001, 1.5 MiB",
        "kept      what finished since 2026-11-20T00:00:00.000000Z",
        "requests  1,234, from 1970-01-01T00:00:00.000000Z to 2026-11-20T00:00:00.000000Z",
        "  1,200 of a:1",
        "  34 of b:1",
        "samples   7",
        "file      sound",
        "roll-ups  equal to their requests, on 1 day",
        "totals    no less than their requests",
    ]


def test_a_server_and_nothing_in_it() -> None:
    empty = Report("postgresql://h/d", "0001")
    assert empty.well
    assert list(empty.lines()) == [
        "postgresql://h/d: revision 0001",
        "requests  0",
        "samples   0",
        "roll-ups  equal to their requests, on 0 days",
        "totals    no less than their requests",
    ]


def test_a_report_of_a_store_that_is_not() -> None:
    bad = report()
    bad.damages = ["row 3 missing from index requests_finished"]
    bad.differences, bad.differing = [ALIKE] * 10, 12
    bad.too_small, bad.too_large = [("a:1", "llama_cpp", "", True)], [("b:1", "llama_cpp", "tiny", False)]
    assert not bad.well
    lines = list(bad.lines())[5:]
    assert lines[:3] == ["file      DAMAGED", "  row 3 missing from index requests_finished", "roll-ups  WRONG: 12"]
    assert lines[3:13] == [f"  {describe(ALIKE)}"] * 10
    assert lines[13:] == [
        "  and 2 more",
        "totals    WRONG: 2",
        "  a:1, llama_cpp, streamed: less than its requests",
        "  b:1, llama_cpp, tiny, not streamed: more than its requests, and none was ever deleted",
    ]


@pytest.mark.parametrize(
    "found", [{"damages": ["x"]}, {"differing": 1}, {"too_small": [KEYS[:4]]}, {"too_large": [KEYS[:4]]}]
)
def test_each_finding_counts(found: dict[str, object]) -> None:
    (name,) = found
    bad = report()
    setattr(bad, name, found[name])
    assert not bad.well


def test_lists_are_bounded() -> None:
    many = report()
    many.requests = Counter({f"pod-{number}": 1 for number in range(500)})
    lines = list(many.lines())
    assert sum(line.startswith("  1 of pod-") for line in lines) == LINES
    assert f"  and {500 - LINES} more" in lines


def test_a_difference_says_where_and_what() -> None:
    where = "hour 2026-11-20T00:00Z, instance box:8001, model tiny, tier Q4, outcome completed, stream True, "
    where += "status_code 200, finish_reason stop: "
    assert describe(ALIKE) == f"{where}input_tokens 5, should be 4; requests 2, should be 1"
    assert describe(ALIKE._replace(sums={"requests": (0, 1)})) == f"{where}missing; there are requests: 1"
    nothing = ALIKE._replace(sums={"requests": (2, 0), "input_tokens": (5, 0)})
    assert describe(nothing) == f"{where}there are no such requests; it says 2"


def test_a_size_is_short() -> None:
    assert [write_size(size) for size in (0, 1023, 1024, 10_000_000, 5 << 40, 3 << 50)] == [
        "0 bytes",
        "1,023 bytes",
        "1.0 KiB",
        "9.5 MiB",
        "5.0 TiB",
        "3,072.0 TiB",
    ]
