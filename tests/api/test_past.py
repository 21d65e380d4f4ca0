"""What rooms say when the store cannot be read, and how often the log says so."""

from __future__ import annotations

import logging

import pytest
from starlette.requests import Request
from starlette.responses import Response

from exporter.api import past
from exporter.api.past import guard
from exporter.api.room import refuse
from exporter.errors import StoreError
from exporter.store.figures import Past
from tests.api.completions.past import FakePast

REQUEST = Request({"type": "http", "method": "GET", "path": "/", "headers": []})


class Away:
    """A store that says why it cannot be read."""

    reason = "the disk is gone"

    async def read(self, _: Request, __: Past) -> Response:
        raise StoreError(self.reason)


async def test_a_reason_is_logged_once_though_pages_go_on_asking(caplog: pytest.LogCaptureFixture) -> None:
    away = Away()
    handle = guard(FakePast([]), refuse, away.read)
    with caplog.at_level(logging.WARNING):
        answers = [await handle(REQUEST) for _ in range(3)]
        away.reason = "too many questions at once"
        answers.append(await handle(REQUEST))
    assert [answer.status_code for answer in answers] == [503] * 4
    assert all(b"disk" not in answer.body for answer in answers), "what it says may name hosts and users"
    reasons = [record.__dict__["reason"] for record in caplog.records]
    assert reasons == ["the disk is gone", "too many questions at once"]


async def test_and_again_when_it_stays(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "AGAIN_SECONDS", 0.0)
    handle = guard(FakePast([]), refuse, Away().read)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await handle(REQUEST)
    assert len(caplog.records) == 3
