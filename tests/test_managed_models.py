"""What the log's levels are called over the API."""

from __future__ import annotations

from exporter.managed_models import LEVELS, NAMES


def test_every_level_of_the_log_has_a_name_in_the_contract() -> None:
    assert NAMES == {"debug": "debug", "info": "info", "warning": "warn", "error": "error"}
    assert set(LEVELS.values()) == set(NAMES)
