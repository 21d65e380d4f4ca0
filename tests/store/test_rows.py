"""Records as rows: what no database can hold is made harmless, or refused alone; sums and rows agree in any case."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest
from sqlalchemy import select

from exporter.record import Attempt, AttemptResult, Decision, Outcome
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.figures import Period
from exporter.store.reader import read_figures, read_page
from exporter.store.rows import AMOUNT_LIMIT, KEY_BYTES, Finished, request_row
from exporter.store.sample import Sample
from exporter.store.schema import REQUESTS, SAMPLES
from tests.store.requests import DAY_US, MIDNIGHT_US, Traced, check_sums, clear, count, finished, request_ids, write
from tests.telemetry.examples import CHAT, NOTHING_KNOWN, record

GOOD = [finished(request_id="good-0"), finished(request_id="good-1")]
LONGEST = "".join(random.Random(5).choices([chr(code) for code in range(0x1F300, 0x1F600)], k=256))
"""Of four bytes each, as a client may choose it. PostgreSQL's indexes cannot compress it."""
NOT_FINITE = (math.nan, math.inf, -math.inf)
HUGE = 10**30

HARMLESS: list[tuple[str, dict[str, Any]]] = [
    *((f"{name} with NUL", {name: "a\0b"}) for name in ("origin", "error_type", "requested_model", "response_model")),
    *((f"{name} with half a pair", {name: "a\ud800"}) for name in ("origin", "error_type", "requested_model")),
    ("finish reason with NUL", {"finish_reasons": ("\0",)}),
    ("provider with NUL", {"provider": "\0"}),
    ("upstream with half a pair", {"upstream": "\udfff"}),
    ("all names as long as can be", dict.fromkeys(("origin", "error_type"), LONGEST) | {"finish_reasons": (LONGEST,)}),
    *((f"{name} huge", {name: HUGE}) for name in ("input_tokens", "output_tokens", "cached_tokens", "draft_tokens")),
    *((f"{name} huge", {name: HUGE}) for name in ("tool_calls", "tool_uses", "tool_results", "message_count")),
    *((f"{name} huge", {name: HUGE}) for name in ("request_bytes", "response_bytes", "status_code")),
    ("tokens negative", {"input_tokens": -1, "output_tokens": -HUGE}),
    *(
        (f"{name} {value}", {name: value})
        for name in ("ttft_seconds", "last_token_seconds", "queue_seconds", "overhead_seconds", "generation_seconds")
        for value in (*NOT_FINITE, 1e300, -1.0)
    ),
    *(
        (f"{name} {value}", {name: value})
        for name in ("prompt_tokens_per_second", "output_tokens_per_second")
        for value in NOT_FINITE
    ),
    *((f"score {value}", {"decision": CHAT.decision and CHAT.decision._replace(score=value)}) for value in NOT_FINITE),
    ("no time at all", {"duration_seconds": 0.0, "last_token_seconds": 0.0, "ttft_seconds": 0.0}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    *((f"duration {value}", {"duration_seconds": value}) for value in (*NOT_FINITE, 1e300, -1.0, 1e9)),
    *((f"start {value}", {"started_at": value}) for value in (*NOT_FINITE, 1e300, -1e9, 1e15)),
    ("identity with half a pair", {"request_id": "\ud800"}),
]


def odd(changes: dict[str, Any], model: str | None = "tiny") -> Finished:
    return Finished(record(**({"request_id": "odd", "started_at": MIDNIGHT_US / 1e6, **changes})), model)


def test_made_harmless(database: Database) -> None:
    for name, changes in HARMLESS:
        check_odd(database, odd(changes), name, refused=0)
    for model in ("\0", "\ud800", LONGEST, "x" * 100_000):
        check_odd(database, odd({"requested_model": model}, model), model[:10], refused=0)


def test_every_name_as_long_as_can_be_at_once(database: Database) -> None:
    """Of a sidecar with the longest name that can be configured."""
    changes: dict[str, Any] = dict.fromkeys(("origin", "error_type", "requested_model"), LONGEST)
    changes |= {"finish_reasons": (LONGEST,), "tier": LONGEST[:64], "provider": LONGEST[:64]}
    writing = Writing(1, LONGEST[:128])
    assert write(database, [odd(changes, LONGEST)], writing=writing).refused == []
    check_sums(database)


def test_refused_alone(database: Database) -> None:
    for name, changes in REFUSED:
        check_odd(database, odd(changes), name, refused=1)


def check_odd(database: Database, strange: Finished, name: str, *, refused: int) -> None:
    clear(database)
    written = write(database, [GOOD[0], strange, GOOD[1]], [Sample(MIDNIGHT_US)])
    assert len(written.refused) == refused, name
    assert request_ids(database) == ["good-0", *["odd"] * (1 - refused), "good-1"]
    assert count(database, "samples") == 1
    check_sums(database)
    with database.read() as connection:
        figures = read_figures(connection, Period(), MIDNIGHT_US + DAY_US - 1)
        rows = read_page(connection, Period(), None, 10)
        everything = connection.execute(select(REQUESTS)).all()
    assert sum(group.sums.requests for group in figures.groups) == len(rows) == 3 - refused
    # What is shown can be written down by everybody.
    for row in everything:
        json.dumps(tuple(row), allow_nan=False, ensure_ascii=False).encode()
    # The store goes on.
    assert write(database, GOOD).refused == []
    check_sums(database)


@pytest.mark.parametrize("value", NOT_FINITE)
def test_samples_that_are_no_numbers(database: Database, value: float) -> None:
    odd_sample = Sample(MIDNIGHT_US, cpu_utilization=value, load_1m=2.0)
    assert write(database, GOOD, [odd_sample, Sample(MIDNIGHT_US + 1, load_1m=1.0)]).refused == []
    with database.read() as connection:
        found = connection.execute(select(SAMPLES.c.cpu_utilization, SAMPLES.c.load_1m).order_by(SAMPLES.c.id)).all()
    assert [tuple(row) for row in found] == [(None, 2.0), (None, 1.0)]


def test_a_sum_of_nonsense_does_not_overflow(database: Database) -> None:
    """As much of it as one batch can hold."""
    nonsense = odd(
        {
            "duration_seconds": 1e7,
            "stream": True,
            "last_token_seconds": 1e7,
            "ttft_seconds": 1e7,
            "input_tokens": HUGE,
            "output_tokens": HUGE,
        }
    )
    assert write(database, [nonsense] * 2000).refused == []
    assert write(database, [nonsense] * 2000).refused == []
    with database.read() as connection:
        (group,) = read_figures(connection, Period(), MIDNIGHT_US).groups
    assert group.sums.input_tokens == 4000 * AMOUNT_LIMIT
    assert group.sums.duration_us == 4000 * 10**13


def test_names_are_cut_where_a_character_ends() -> None:
    row = request_row(odd({"origin": "ä" * 256}, LONGEST), 1, "box")
    assert row["origin"] == "ä" * (KEY_BYTES // 2)
    assert row["model"] == LONGEST[: KEY_BYTES // 4]


def test_a_row_says_what_its_record_says() -> None:
    """Every value is another one, so that none can stand in another's place."""
    made = record(
        request_id="r-1",
        started_at=1000.0,
        duration_seconds=2.5,
        outcome=Outcome.STREAM_ERROR,
        operation="messages",
        stream=True,
        provider="p-1",
        upstream="u-1",
        tier="t-1",
        requested_model="m-1",
        served_model="m-2",
        response_model="m-3",
        origin="o-1",
        status_code=201,
        error_type="e-1",
        finish_reasons=("f-1", "f-2"),
        message_count=3,
        tool_uses=4,
        tool_results=5,
        tool_calls=6,
        request_bytes=7,
        response_bytes=8,
        input_tokens=9,
        cached_tokens=10,
        output_tokens=11,
        draft_tokens=12,
        draft_accepted_tokens=13,
        attempts=(Attempt("u-1", AttemptResult.ANSWERED, 0.1),) * 2,
        overhead_seconds=0.000_014,
        first_byte_seconds=0.000_015,
        ttft_seconds=0.000_016,
        last_token_seconds=2.2,
        queue_seconds=0.000_018,
        prompt_seconds=0.000_019,
        generation_seconds=0.000_020,
        prompt_tokens_per_second=21.5,
        output_tokens_per_second=22.5,
        trace=Traced("tr-1"),
    )
    decision = made.decision
    assert isinstance(decision, Decision)
    assert request_row(Finished(made, "m-4"), 23, "i-1") == {
        "run": 23,
        "instance": "i-1",
        "request_id": "r-1",
        "finished_us": 1_002_500_000,
        "duration_us": 2_500_000,
        "outcome": "stream_error",
        "operation": "messages",
        "stream": True,
        "provider": "p-1",
        "upstream": "u-1",
        "tier": "t-1",
        "model": "m-4",
        "requested_model": "m-1",
        "served_model": "m-2",
        "response_model": "m-3",
        "origin": "o-1",
        "status_code": 201,
        "error_type": "e-1",
        "finish_reason": "f-1",
        "message_count": 3,
        "tool_uses": 4,
        "tool_results": 5,
        "tool_calls": 6,
        "request_bytes": 7,
        "response_bytes": 8,
        "input_tokens": 9,
        "cached_tokens": 10,
        "output_tokens": 11,
        "token_source": "server",
        "draft_tokens": 12,
        "draft_accepted_tokens": 13,
        "attempts": 2,
        "overhead_us": 14,
        "first_byte_us": 15,
        "ttft_us": 16,
        "last_token_us": 2_200_000,
        "queue_us": 18,
        "prompt_us": 19,
        "generation_us": 20,
        "prompt_tokens_per_second": 21.5,
        "output_tokens_per_second": 22.5,
        "speed": 5_000_000,
        "complexity": decision.complexity.value,
        "score": decision.score,
        "wanted_tier": decision.wanted_tier,
        "fallback": decision.fallback,
        "trace_id": "tr-1",
    }


def test_a_trace_that_is_not_sampled_is_none() -> None:
    assert request_row(odd({"trace": Traced("tr-1", sampled=False)}), 1, "box")["trace_id"] is None
    assert request_row(odd({"trace": Traced("")}), 1, "box")["trace_id"] is None
    assert request_row(odd({"trace": None}), 1, "box")["trace_id"] is None


def test_a_row_is_complete_and_comes_back(database: Database) -> None:
    """Also one of which nothing is known: unknown is NULL."""
    unknown = finished(request_id="unknown", model=None, **NOTHING_KNOWN, origin=None, message_count=None)
    traced = finished(request_id="traced", trace=Traced("0af7651916cd43dd8448eb211c80319c"))
    rows = [request_row(each, 7, "box:8001") for each in (traced, unknown)]
    assert rows[0].keys() == {column.name for column in REQUESTS.columns} - {"id"}
    write(database, [traced, unknown])
    with database.read() as connection:
        found = connection.execute(select(REQUESTS).order_by(REQUESTS.c.id)).mappings().all()
    assert [{key: value for key, value in row.items() if key != "id"} for row in found] == rows
    assert found[0]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    nullable = {column.name for column in REQUESTS.columns if column.nullable}
    known = {key for key in nullable if found[1][key] is not None}
    assert known == {"upstream", "requested_model", "served_model", "status_code", "error_type"} & known


@pytest.mark.parametrize(
    ("changes", "speed"),
    [
        ({"stream": True, "output_tokens": 11, "last_token_seconds": 2.0}, 5_500_000),
        ({"stream": True, "output_tokens": 11, "last_token_seconds": None}, None),
        ({"stream": True, "output_tokens": 11, "last_token_seconds": 0.0}, None),
        ({"stream": True, "output_tokens": 0}, None),
        ({"stream": True, "output_tokens": None}, None),
        ({"stream": False, "output_tokens": 3, "duration_seconds": 1.5}, 2_000_000),
        ({"stream": False, "output_tokens": 3, "outcome": Outcome.UPSTREAM_ERROR}, None),
        ({"stream": True, "output_tokens": 10**9, "last_token_seconds": 0.000_001}, 10**13),
        ({"stream": True, "output_tokens": 11, "last_token_seconds": math.nan}, None),
    ],
)
def test_speed(changes: dict[str, Any], speed: int | None) -> None:
    assert request_row(odd(changes), 1, "box")["speed"] == speed
