"""Whatever was sampled and counted: strict clients accept the answer, and the description of it is true."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from exporter.api.documents import encode
from exporter.api.system_metrics import figures
from exporter.api.system_metrics.documents import EnvelopedMetrics, SystemMetrics
from exporter.record import Outcome
from exporter.system.snapshot import (
    CollectorStatus,
    FileSystem,
    GpuSnapshot,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    NetworkIO,
    ServerState,
    Snapshot,
)
from tests.api.system_metrics.schema import faults, faults_of_envelope
from tests.api.views import NOW, make_live, make_views
from tests.telemetry.examples import HOST, record


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


SHARES = st.floats(-0.5, 1.5)
AMOUNTS = st.floats(-50, 1e6)
BYTES = st.integers(0, 2**48)
GPUS = st.builds(
    GpuSnapshot,
    id=st.text(),
    index=st.integers(0, 7),
    name=st.text(),
    vendor=st.sampled_from(["nvidia", "amd"]),
    error=maybe(st.just("gpu_is_lost")),
    utilization=maybe(SHARES),
    memory_total_bytes=maybe(BYTES),
    memory_used_bytes=maybe(BYTES),
    temperature_celsius=maybe(AMOUNTS),
    power_watts=maybe(AMOUNTS),
    power_limit_watts=maybe(AMOUNTS),
)
RATES = maybe(st.floats(0, 1e11))
HOSTS = st.builds(
    replace,
    st.just(HOST),
    cpu_utilization=maybe(SHARES),
    memory_total_bytes=BYTES,
    memory_used_bytes=BYTES,
    file_systems=st.lists(
        st.builds(FileSystem, st.just("/dev/x"), st.sampled_from(["/", "/data"]), st.just("ext4"), BYTES, BYTES, BYTES)
    ).map(tuple),
    networks=st.lists(
        st.builds(
            NetworkIO,
            *(st.just("eth0"), *[BYTES] * 6),
            receive_bytes_per_second=RATES,
            transmit_bytes_per_second=RATES,
        )
    ).map(tuple),
)
SERVERS = st.builds(
    LlamaServerSnapshot,
    upstream=st.text(),
    tiers=st.just(("Q4",)),
    state=st.sampled_from(ServerState),
    router=st.booleans(),
    models=st.lists(st.builds(ModelSnapshot, st.text(), st.sampled_from(ModelState))).map(tuple),
)
SNAPSHOTS = st.builds(
    Snapshot,
    host=maybe(HOSTS),
    gpus=st.lists(GPUS, max_size=5).map(tuple),
    servers=st.dictionaries(st.text(), SERVERS, max_size=4),
    collectors=st.dictionaries(
        st.sampled_from(["host", "nvidia"]),
        st.builds(CollectorStatus, st.just("host"), st.booleans(), st.just(0.1), maybe(st.floats(0, 2 * NOW))),
    ),
)
RECORDS = st.lists(st.builds(record, duration_seconds=st.floats(0, 1e5), outcome=st.sampled_from(Outcome)), max_size=5)
DESCRIPTION: TypeAdapter[Any] = TypeAdapter(SystemMetrics | EnvelopedMetrics)


@given(SNAPSHOTS, RECORDS)
def test_strict_clients_accept_whatever_was_sampled(snapshot: Snapshot, records: list[Any]) -> None:
    live = make_live()
    for each in records:
        live.record(each)
    document = figures.system_metrics(make_views(live), snapshot)
    enveloped = figures.in_envelope(document, snapshot)
    assert faults(json.loads(encode(document))) == []
    assert faults_of_envelope(json.loads(encode(enveloped))) == []
    for each in (document, enveloped):
        DESCRIPTION.validate_json(encode(each), strict=True)
