import math
from dataclasses import fields

import pytest

from exporter.errors import ConfigError
from exporter.settings.metrics import BucketSettings
from exporter.telemetry.buckets import Bounds, Buckets
from exporter.telemetry.catalog import CATALOGUE, Kind


def test_defaults_are_those_of_the_catalogue_of_metrics() -> None:
    buckets = Buckets()
    doubled = "0.01 0.02 0.04 0.08 0.16 0.32 0.64 1.28 2.56 5.12 10.24 20.48 40.96 81.92 163.84 327.68"
    assert " ".join(map(str, buckets.duration)) == doubled
    assert list(buckets.tokens) == [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576]
    assert buckets.inter_token[0] == 0.001
    assert buckets.ttft[-1] == 160
    assert list(buckets.score) == [0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 15, 20, 50]
    micros = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
    assert [bound * 1e6 for bound in buckets.decision] == pytest.approx(micros)


def test_every_histogram_names_its_bounds_and_all_bounds_are_used() -> None:
    used = {metric.buckets for metric in CATALOGUE if metric.kind is Kind.HISTOGRAM}
    assert used == {field.name for field in fields(Buckets)}


def test_what_is_configured_replaces_the_defaults() -> None:
    settings = BucketSettings.model_validate({"score": "1, 2", "decision": [1e-6]})
    buckets = Buckets(**settings.model_dump(exclude_none=True))
    assert (buckets.score, buckets.decision, buckets.ttft) == ((1.0, 2.0), (1e-6,), Buckets().ttft)


def test_every_setting_is_a_set_of_bounds() -> None:
    assert set(BucketSettings.model_fields) <= {field.name for field in fields(Buckets)}


def test_one_set_of_bounds_can_be_replaced() -> None:
    assert Buckets(ttft=(0.5, 1.0)).ttft == (0.5, 1.0)


@pytest.mark.parametrize(
    ("bounds", "complaint"),
    [
        ((), "at least one"),
        ((0.0, 1.0), "above 0"),
        ((-1.0,), "above 0"),
        ((1.0, math.inf), "finite"),
        ((math.nan,), "finite"),
        ((1.0, 1.0), "ascend"),
        ((2.0, 1.0), "ascend"),
    ],
)
def test_unusable_bounds_are_refused_by_name(bounds: Bounds, complaint: str) -> None:
    with pytest.raises(ConfigError, match=rf"buckets\.queue: .*{complaint}"):
        Buckets(queue=bounds)
