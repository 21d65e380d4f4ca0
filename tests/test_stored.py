"""What goes into the store and comes out of it again, in the words of either side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.live.feed import Live
from exporter.live.totals import Totals
from exporter.record import Outcome, RequestRecord, RoutingReason
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.opening import open_store
from exporter.store.rows import Finished
from exporter.store.sample import Sample
from exporter.store.schema import SAMPLES
from exporter.stored import make_sample, name_model, restore
from exporter.system.snapshot import Snapshot
from exporter.system.summary import Summary
from tests.store.requests import write
from tests.telemetry.examples import CHAT, DECISION, SNAPSHOT, record

NAMED = DECISION._replace(reason=RoutingReason.MODEL)


@pytest.mark.parametrize(
    ("asked", "label", "name"),
    [
        (record(requested_model="tiny", served_model="tiny-q4", decision=NAMED), "tiny", "tiny"),
        (record(requested_model="auto", served_model="tiny-q4"), "unknown", "tiny-q4"),
        (record(requested_model=None, served_model="tiny-q4", decision=None), "unknown", "tiny-q4"),
        (record(requested_model="x", served_model=None, decision=None), "other", "other"),
        (record(requested_model=None, served_model=None, decision=None), "unknown", None),
    ],
)
def test_models_are_named_as_everywhere(asked: RequestRecord, label: str, name: str | None) -> None:
    assert name_model(asked, label) == name


def model_of(record: RequestRecord) -> str:
    return record.requested_model or "unknown"


RECORDS = [
    CHAT,
    record(stream=False, cached_tokens=None, output_tokens=None, tool_calls=3, tool_uses=4, tool_results=5),
    record(started_at=CHAT.started_at + 60, requested_model="big", decision=NAMED, outcome=Outcome.TIMEOUT),
    record(requested_model=None, served_model=None, decision=None, outcome=Outcome.CLIENT_GONE),
    record(requested_model="big", provider="vllm", decision=NAMED, outcome=Outcome.REJECTED, duration_seconds=0.25),
]


def test_running_totals_are_the_same_after_a_restart(database: Database) -> None:
    """Those that were counted, and those that come back from the store, of what both were given."""
    live = Live(model_of)
    for each in RECORDS:
        live.record(each)
    write(database, [Finished(each, name_model(each, model_of(each))) for each in RECORDS])
    write(database, [Finished(CHAT, "of another sidecar")], writing=Writing(3, "other"))
    totals = Totals()
    restore(totals, open_store(database, "box:8001", auto_migrate=True).totals)
    assert totals.providers == live.totals.providers
    assert {provider: set(models) for provider, models in totals.providers.items()} == {
        "llama_cpp": {"tiny", "big", "unknown"},
        "vllm": {"big"},
    }


def test_every_figure_of_a_machine_has_its_column() -> None:
    columns = {column.name for column in SAMPLES.columns} - {"id", "instance", "step"}
    assert set(Sample._fields) == columns
    assert set(Summary._fields) | {"taken_us", "requests_in_flight"} == columns


def test_a_sample(database: Database) -> None:
    made = make_sample(SNAPSHOT, 3, 1_700_000_000.25)
    assert (made.taken_us, made.requests_in_flight) == (1_700_000_000_250_000, 3)
    assert (made.cpu_utilization, made.gpu_count, made.disk_total_bytes) == (0.125, 2, 950)
    write(database, samples=[made, make_sample(Snapshot(), 0, 5.0)])
    with database.read() as connection:
        rows = connection.execute(SAMPLES.select().order_by(SAMPLES.c.taken_us)).mappings().all()
    assert {name: rows[1][name] for name in Sample._fields} == made._asdict()
    known = {name: value for name, value in rows[0].items() if value is not None and name in Sample._fields}
    assert known == {"taken_us": 5_000_000, "requests_in_flight": 0, "gpu_count": 0, "models_loaded": 0}


def test_a_sample_is_not_the_host_alone() -> None:
    made = make_sample(replace(SNAPSHOT, host=None), 0, 1.0)
    assert made.cpu_utilization is None
    assert made.gpu_utilization == 0.75
