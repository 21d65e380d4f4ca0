"""What is told of models in the log."""

from __future__ import annotations

import logging

import pytest

from exporter.models.events import log_event
from exporter.models.model import Event, Kind, Model, Status


def test_what_becomes_of_models_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loaded = Model("tiny", Status.RUNNING, load_seconds=0.5)
    failed = Model("tiny", Status.ERROR, error="out of memory")
    for event in (
        Event(Kind.LOADING, "tiny", Model("tiny", Status.LOADING)),
        Event(Kind.LOADED, "tiny", loaded),
        Event(Kind.FAILED, "tiny", failed),
        Event(Kind.UNLOADED, "tiny", None),
    ):
        log_event(event)
    said = [(record.levelname, record.getMessage(), record.__dict__["model"]) for record in caplog.records]
    assert said == [
        ("INFO", "model is loaded", "tiny"),
        ("WARNING", "model failed", "tiny"),
        ("INFO", "model is unloaded", "tiny"),
    ]
    assert caplog.records[1].__dict__["reason"] == "out of memory"
