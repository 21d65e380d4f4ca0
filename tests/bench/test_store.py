from __future__ import annotations

from dataclasses import replace

from tests.bench import table
from tests.bench.load import Sample
from tests.bench.store import StoreResult, commands
from tests.bench.targets import Target
from tests.bench.variants import Cost, Rounds, Start, compare

COST = Cost("json-1", "sqlite", (340.0, 350.0, 345.0), (40.0, 45.0, 50.0), 900.0, 0.001, 0.002, 0)


def sample(cpu_seconds: float) -> Sample:
    """A round of a thousand answers."""
    return Sample(1.0, cpu_seconds, 1000.0, 1000, 1000, 0.001, 0.002, 0.001, None, None)


def test_each_sidecar_has_its_own_store() -> None:
    found = commands({"none": "none", "sqlite": "sqlite:////tmp/x.db"})
    assert "--store none " in found["none"]
    assert "--store sqlite:////tmp/x.db " in found["sqlite"]
    assert "none" not in found["sqlite"]


def test_a_store_is_compared_with_none_round_by_round() -> None:
    rounds = {
        "none": Rounds(Target("none", 1), [sample(each) for each in (0.3, 0.5)]),
        "sqlite": Rounds(Target("sqlite", 2), [sample(each) for each in (0.35, 0.56)]),
    }
    none, sqlite = compare("json-1", rounds)
    assert none.differences == (0.0, 0.0)
    assert [round(each) for each in sqlite.differences] == [50, 60]
    assert sqlite.difference == sum(sqlite.differences) / 2


def test_the_table() -> None:
    none = replace(COST, variant="none", costs=(300.0, 305.0, 295.0), differences=(0.0, 0.0, 0.0))
    text = table.render_store(StoreResult([none, COST], [Start("none", 0.912, 67_000_000)]))
    lines = text.splitlines()
    assert lines[2].split() == [
        "json-1",
        "sqlite",
        "900",
        "345.0",
        "~3%",
        "45.0",
        "40",
        "to",
        "50",
        "1.00",
        "2.00",
        "0",
    ]
    assert lines[1].split() == ["json-1", "none", "900", "300.0", "~3%", "1.00", "2.00", "0"]
    assert lines[5].split() == ["none", "0.91", "67"]
