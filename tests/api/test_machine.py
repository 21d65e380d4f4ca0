"""What several contracts show of the machine in the same units."""

from __future__ import annotations

from dataclasses import replace

from exporter.api import machine
from exporter.system.snapshot import Snapshot
from exporter.system.summary import summarize
from tests.api.views import WALL, Clock, make_live, make_views
from tests.telemetry.examples import SNAPSHOT, record


def test_figures_have_the_time_of_their_sample() -> None:
    clock = Clock()
    assert machine.sampled_at(make_views(clock=clock), SNAPSHOT) == WALL - 5
    clock.now += 60
    assert machine.sampled_at(make_views(clock=clock), SNAPSHOT) == WALL - 5
    assert machine.sampled_at(make_views(clock=clock), Snapshot()) == WALL + 60


def test_requests_of_the_last_minute() -> None:
    clock = Clock()
    live = make_live(clock)
    live.record(record())
    views = make_views(live, clock)
    clock.now += 30
    assert machine.requests_last_minute(views) == 1
    clock.now += 60
    assert machine.requests_last_minute(views) == 0
    assert (machine.sums_of(views).requests, machine.sums_of(make_views(live, recording=False)).requests) == (1, 0)


def test_what_is_not_known_is_none() -> None:
    assert (machine.share(1, 4), machine.share(None, 4), machine.share(1, None), machine.share(1, 0)) == (
        0.25,
        None,
        None,
        None,
    )
    assert (machine.known_percent(0.123456), machine.known_percent(None)) == (12.35, None)
    assert (machine.rounded(-1.0), machine.rounded(1.234), machine.rounded(None)) == (0.0, 1.23, None)


def test_all_gpus_as_one() -> None:
    figures = machine.gpu_figures(summarize(SNAPSHOT), SNAPSHOT.gpus)
    assert figures["gpuUsage"] == 75.0
    assert figures["gpuName"] == f"{SNAPSHOT.gpus[0].name} x{len(SNAPSHOT.gpus)}"
    nested = machine.nested_gpu(figures)
    assert nested["memoryTotal"] == round(figures["gpuMemoryTotal"] / (1 << 20), 2)
    none = replace(SNAPSHOT, gpus=())
    assert machine.gpu_figures(summarize(none), none.gpus) == machine.nested_gpu({}) == {}


def test_rates_are_0_until_there_are_some() -> None:
    assert machine.network_rates(summarize(Snapshot())) == {"rx": 0.0, "tx": 0.0}
