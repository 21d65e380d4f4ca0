"""Pages that ask again whenever they are told something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.api.nextjs.live.pages import questions
from exporter.api.nextjs.live.pages.questions import Questions
from exporter.api.nextjs.live.sockets import clients
from exporter.models.model import Kind, Status
from tests.api.nextjs.live.pages.test_pages import page
from tests.api.nextjs.live.stage import BESIDE, Stage
from tests.api.nextjs.live.talker import Talker
from tests.api.views import Clock
from tests.serving import until

STORM = 100


async def count_until(client: Talker, event: str, *counted: str) -> dict[str, int]:
    """How often these have come before that one."""
    found = dict.fromkeys(counted, 0)
    while (heard := (await client.next())[0]) != event:
        if heard in found:
            found[heard] += 1
    return found


async def test_a_storm_is_answered_now_and_then_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 3600.0)
    async with Stage().open() as running, page(running) as client:
        for _ in range(STORM):
            for said in ("request_metrics", "requestMetrics", "request_models"):
                await client.say(said, {})
        await client.say("load_models", {})
        assert await count_until(client, "models_loaded", "metrics", "models") == {"metrics": 1, "models": 1}


async def test_the_late_answer_tells_of_what_has_happened_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 0.3)
    stage = Stage()
    async with stage.open() as running, page(running) as client:
        for _ in range(STORM):
            await client.say("load_models", {})
        assert (await client.hear("models_loaded"))["data"][2]["status"] == "idle"
        stage.models.looks = 0
        stage.models.move(Kind.CHANGED, replace(BESIDE, status=Status.RUNNING))
        statuses = [(await client.hear("models_loaded"))["data"][2]["status"] for _ in range(2)]
        assert statuses == ["running", "running"], "the change, and the answer"
        await client.say("requestMetrics", {})
        await client.hear("metrics")
        assert stage.models.looks == 1


async def test_asking_again_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MESSAGES_PER_MINUTE", 20)
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 3600.0)
    async with Stage().open() as running, page(running) as client:
        for _ in range(STORM):
            await client.say("request_metrics", {})
            await client.say("request_models", {})
        assert (await client.ask("anything"))["success"] is False
        for _ in range(STORM):
            await client.say("anything")
        assert (await client.hear("error"))["code"] == "RATE_LIMITED"


class Someone:
    """A client, as far as questions know it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def send(self, packet: Any) -> bool:
        self.heard.append(packet)
        return True


async def test_each_client_and_each_kind_for_itself() -> None:
    clock, one, other = Clock(), Someone(), Someone()
    answered: list[tuple[Any, str]] = []
    answers = {"a": lambda client: answered.append((client, "a")), "b": lambda client: answered.append((client, "b"))}
    asked: Any = Questions(answers, clock)
    assert [asked.ask(one, "a"), asked.ask(one, "a"), asked.ask(one, "b"), asked.ask(other, "a")] == [
        True,
        False,
        True,
        True,
    ]
    assert answered == [(one, "a"), (one, "b"), (other, "a")]
    clock.now += questions.PAUSE_SECONDS
    assert asked.ask(other, "a")
    assert ("a" in asked, "c" in asked) == (True, False)
    asked.left(one)
    asked.left(one)
    assert asked.ask(one, "a"), "nothing is kept of who has left"


async def test_a_late_answer_that_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(questions, "PAUSE_SECONDS", 0.01)
    answers = iter([None])

    def answer(_: Any) -> None:
        assert next(answers, "no idea") is None, "no idea"

    one: Any = Someone()
    asked = Questions({"a": answer}, Clock())
    assert asked.ask(one, "a")
    assert not asked.ask(one, "a")
    await until(lambda: one.heard)
    assert "INTERNAL_ERROR" in one.heard[0].encode()
    assert "no idea" in caplog.text
