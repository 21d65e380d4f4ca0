"""An export has every row that is asked for, once, in order, with every value as it is stored."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest
from sqlalchemy import select, update

from exporter.dates import write_time
from exporter.store import export
from exporter.store.database import Database
from exporter.store.export import Selection
from exporter.store.retention import hide
from exporter.store.sample import Sample
from exporter.store.schema import REQUESTS, SAMPLES
from tests.store.requests import DAY_US, MIDNIGHT_US, SECOND_US, WRITING, finished, write

ODD = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "\r",
    "\n",
    "\N{FULLWIDTH EQUALS SIGN}1",
    'say "hi", twice',
    "a\nb",
    "ä\u2028",
    " =",
]


@pytest.fixture
def filled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Thirty requests of two sidecars, in no order, many in the same microsecond, in pages of seven."""
    monkeypatch.setattr(export, "PAGE_ROWS", 7)
    for name in ("a:1", "b:1"):
        moments = [MIDNIGHT_US + number % 3 * DAY_US for number in range(15)]
        write(database, [finished(at) for at in moments], writing=WRITING._replace(instance=name))
    return database


def exported(database: Database, selection: Selection | None = None, form: str = "jsonl") -> str:
    settled, count = export.settle(database, selection or Selection(), count=True)
    head, text_of = export.writer(form, settled)
    pages = list(export.pages(database, settled))
    assert sum(map(len, pages)) == count
    return head + "".join(map(text_of, pages))


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.split("\n")[:-1]]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_json_lines_are_the_rows_in_order(filled: Database) -> None:
    with filled.read() as connection:
        rows = connection.execute(select(REQUESTS).order_by(REQUESTS.c.finished_us, REQUESTS.c.id)).mappings().all()
    found = documents(exported(filled))
    assert len(found) == 30
    assert [list(each) for each in found] == [["finished_at", *(column.name for column in REQUESTS.columns)]] * 30
    assert found[0].pop("finished_at") == "2026-11-20T00:00:00.000000Z"
    assert found[-1].pop("finished_at") == "2026-11-22T00:00:00.000000Z"
    values = [{key: value for key, value in each.items() if key != "finished_at"} for each in found]
    assert values == [dict(row) for row in rows]


def test_csv_says_the_same(filled: Database) -> None:
    text = exported(filled, form="csv")
    assert text.count("\r\n") == text.count("\n") == 31
    assert text.startswith("finished_at,id,run,instance,")
    assert table(text) == [
        {name: "" if value is None else json.dumps(value).strip('"') for name, value in document.items()}
        for document in documents(exported(filled))
    ]


def test_nothing_is_a_line_of_names_or_nothing(database: Database) -> None:
    assert exported(database) == ""
    assert table(exported(database, form="csv")) == []
    assert exported(database, form="csv").startswith("finished_at,")


@pytest.mark.parametrize(
    ("since_us", "until_us", "days"),
    [
        (None, None, [0, 1, 2]),
        (MIDNIGHT_US + DAY_US, None, [1, 2]),
        (MIDNIGHT_US + DAY_US + 1, None, [2]),
        (None, MIDNIGHT_US + DAY_US, [0, 1]),
        (None, MIDNIGHT_US + DAY_US - 1, [0]),
        (MIDNIGHT_US + DAY_US, MIDNIGHT_US + DAY_US, [1]),
        (0, 253_402_300_799_999_999, [0, 1, 2]),
        (MIDNIGHT_US + 9 * DAY_US, None, []),
    ],
)
def test_a_period_has_both_of_its_ends(
    filled: Database, since_us: int | None, until_us: int | None, days: list[int]
) -> None:
    found = documents(exported(filled, Selection(REQUESTS, since_us, until_us)))
    assert [each["finished_us"] for each in found] == [MIDNIGHT_US + day * DAY_US for day in days for _ in range(10)]


def test_one_sidecar(filled: Database) -> None:
    assert {each["instance"] for each in documents(exported(filled, Selection(instance="b:1")))} == {"b:1"}
    assert exported(filled, Selection(instance="c:1")) == ""


def test_what_retention_has_hidden_is_left_out(filled: Database) -> None:
    with filled.write() as connection:
        hide(connection, MIDNIGHT_US + 1)
    assert len(documents(exported(filled))) == 20


def test_it_ends_although_requests_are_written_meanwhile(filled: Database) -> None:
    settled, _ = export.settle(filled, Selection(), count=False)
    pages = 0
    for _ in export.pages(filled, settled):
        pages += 1
        write(filled, [finished(MIDNIGHT_US + 3 * DAY_US + number) for number in range(20)])
    assert pages == 5


def test_values_that_are_odd_stay_what_they_are_in_json(database: Database) -> None:
    write(database, [finished(MIDNIGHT_US, model=text, origin=text) for text in ODD])
    text = exported(database)
    assert text.isascii()
    assert [(each["model"], each["origin"]) for each in documents(text)] == [(odd, odd) for odd in ODD]


def test_no_value_is_a_formula_in_csv(database: Database) -> None:
    write(database, [finished(MIDNIGHT_US, model=text) for text in ODD])
    found = [row["model"] for row in table(exported(database, form="csv"))]
    assert found == [f"'{text}" for text in ODD[:8]] + ODD[8:]


def test_numbers_that_json_has_not_are_unknown(database: Database) -> None:
    write(database, [finished(output_tokens_per_second=0.5)])
    with database.write() as connection:  # by somebody else
        connection.execute(update(REQUESTS).values(prompt_tokens_per_second=math.inf))
    (document,) = documents(exported(database))
    assert (document["prompt_tokens_per_second"], document["output_tokens_per_second"]) == (None, 0.5)
    (row,) = table(exported(database, form="csv"))
    assert (row["prompt_tokens_per_second"], row["output_tokens_per_second"]) == ("", "0.5")


def test_samples(database: Database) -> None:
    taken = [MIDNIGHT_US + SECOND_US, MIDNIGHT_US]
    write(database, samples=[Sample(taken_us=at, cpu_utilization=0.5) for at in taken])
    found = documents(exported(database, Selection(SAMPLES)))
    assert [each["taken_at"] for each in found] == ["2026-11-20T00:00:00.000000Z", "2026-11-20T00:00:01.000000Z"]
    assert list(found[0]) == ["taken_at", *(column.name for column in SAMPLES.columns)]
    assert (found[0]["cpu_utilization"], found[0]["gpu_count"], found[0]["step"]) == (0.5, None, 0)
    assert len(documents(exported(database, Selection(SAMPLES, since_us=taken[0])))) == 1


def test_every_microsecond_is_written() -> None:
    assert write_time(0) == "1970-01-01T00:00:00.000000Z"
    assert write_time(1_795_132_800_000_001) == "2026-11-20T00:00:00.000001Z"
    assert write_time(253_402_300_799_999_999) == "9999-12-31T23:59:59.999999Z"
