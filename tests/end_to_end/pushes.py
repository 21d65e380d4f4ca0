"""What a sidecar shows and what it pushes, side by side, at a moment at which nothing happens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.end_to_end.sidecar import Metrics, Sidecar
from tests.otel.translation import Sample, Translated, translate
from tests.otlp.receiver import Receiver

PATIENCE_SECONDS = 30.0
NEVER_SECONDS = 3600
MOVES_BY_ITSELF = re.compile(
    r"(system|process)_uptime_seconds$|llm_sidecar_(event_loop_lag_seconds_\w+|sample_age_seconds|otlp_exports_total)$"
)
"""While nobody looks at the machine and nobody asks anything: ages, a timer, and the pushes themselves."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What `/metrics` shows."""

    types: Mapping[str, str]
    values: Mapping[Sample, float]


def scrape(sidecar: Sidecar) -> Scrape:
    text = httpx.get(f"{sidecar.admin}/metrics", timeout=PATIENCE_SECONDS).text
    values = {Sample(each.name, _labels(each.labels)): each.value for each in Metrics(text).samples}
    return Scrape(dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)), values)


def _labels(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """`le` as a number is written by Python."""
    plain = {name: str(float(value)) if name == "le" else value for name, value in labels.items() if value}
    return frozenset({**plain, **({"le": "+Inf"} if plain.get("le") == "inf" else {})}.items())


@dataclass(frozen=True, slots=True)
class Moment:
    """A push, and scrapes right before and right behind it."""

    before: Scrape
    pushed: Translated
    after: Scrape
    message: ExportMetricsServiceRequest

    @property
    def quiet(self) -> bool:
        """Whether nothing moved but what moves by itself."""
        moved = {sample.name for sample in self.still ^ self.before.values.keys()}
        return all(map(MOVES_BY_ITSELF.match, moved)) and self.before.values.keys() == self.after.values.keys()

    @property
    def still(self) -> set[Sample]:
        """What did not move between the scrapes."""
        after = self.after.values
        return {sample for sample, value in self.before.values.items() if after.get(sample) == value}


def pushes(receiver: Receiver) -> list[ExportMetricsServiceRequest]:
    """All that have arrived."""
    found: list[Any] = [each.message for each in list(receiver.requests) if each.signal == "metrics"]
    return found


def freeze(sidecar: Sidecar) -> None:
    """Nobody looks at the machine and the llama-servers any more."""
    answer = httpx.post(f"{sidecar.admin}/api/metrics", json={"interval": NEVER_SECONDS}, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200


def quiet_moment(sidecar: Sidecar, receiver: Receiver) -> Moment:
    """The first that there is."""
    found: list[Moment] = []

    def look() -> bool:
        found[:] = [moment(sidecar, receiver)]
        return found[0].quiet

    sidecar.wait_until(look, PATIENCE_SECONDS)
    return found[0]


def moment(sidecar: Sidecar, receiver: Receiver) -> Moment:
    """The second push behind a scrape is of a later moment than it: the first may have been on its way."""
    before, had = scrape(sidecar), len(pushes(receiver))
    receiver.wait_for(lambda: len(pushes(receiver)) >= had + 2, PATIENCE_SECONDS)
    message = pushes(receiver)[had + 1]
    return Moment(before, translate(message), scrape(sidecar), message)
