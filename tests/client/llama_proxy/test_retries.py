"""What is sent again, after which pauses, and when that ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from exporter.client import ConnectFailedError, LlamaProxyClient, RateLimitedError, Retries, UnavailableError
from exporter.client.llama_proxy.retries import retry_seconds
from tests.client.llama_proxy.conftest import Patience
from tests.client.llama_proxy.manager import Manager, Reply
from tests.nextjs_document import error

Make = Callable[..., LlamaProxyClient]


def away(status: int = 503, **headers: str) -> Reply:
    return Reply(
        status, error(status, "X", "Not now."), {name.replace("_", "-"): each for name, each in headers.items()}
    )


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.models.list(),
        lambda client: client.models.load("tiny"),
        lambda client: client.models.update("tiny", {}),
        lambda client: client.models.remove("tiny"),
        lambda client: client.monitoring.health(),
    ],
    ids=["GET", "POST", "PUT", "DELETE", "health"],
)
def test_who_is_asked_to_come_again_does(
    client: LlamaProxyClient,
    manager: Manager,
    patience: Patience,
    status: int,
    call: Callable[[LlamaProxyClient], object],
) -> None:
    manager.answers = [away(status), away(status)]
    call(client)
    assert patience.pauses == [0.25, 0.5]
    assert len({(each.method, each.path, str(each.body)) for each in manager.asked}) == 1
    assert len(manager.asked) == 3


def test_the_last_refusal_is_raised(client: LlamaProxyClient, manager: Manager, patience: Patience) -> None:
    manager.answers = [away() for _ in range(5)]
    with pytest.raises(UnavailableError, match="Not now"):
        client.models.list()
    assert (len(manager.asked), patience.pauses) == (5, [0.25, 0.5, 1.0, 2.0])


def test_retry_after_is_kept_to(client: LlamaProxyClient, manager: Manager, patience: Patience) -> None:
    base = datetime(2024, 1, 15, tzinfo=UTC)
    manager.answers = [
        away(retry_after="7"),
        away(429, retry_after=format_datetime(base + timedelta(seconds=9), usegmt=True), date=format_datetime(base)),
        away(retry_after="soon"),
    ]
    client.models.list()
    assert patience.pauses == [7.0, 9.0, 1.0]


def test_who_shall_come_too_late_does_not_wait(make_client: Make, manager: Manager, patience: Patience) -> None:
    client = make_client(manager.url, timeout=10, retries=patience.retries)
    manager.answers = [away(429, retry_after="11")]
    with pytest.raises(RateLimitedError) as raised:
        client.models.list()
    assert (raised.value.retry_after, patience.pauses, len(manager.asked)) == (11.0, [], 1)


def test_pauses_end_before_the_timeout(make_client: Make, manager: Manager) -> None:
    client = make_client(
        manager.url, timeout=0.2, retries=Retries(limit=1000, first_seconds=0.01, longest_seconds=0.05)
    )
    manager.answers = [away() for _ in range(1000)]
    with pytest.raises((UnavailableError, ConnectFailedError)):
        client.models.list()
    assert 1 <= len(manager.asked) < 100


@pytest.mark.parametrize("status", [500, 502, 504])
def test_other_failures_are_told_at_once(client: LlamaProxyClient, manager: Manager, status: int) -> None:
    manager.answers = [away(status)]
    with pytest.raises(Exception, match="Not now"):
        client.models.list()
    assert len(manager.asked) == 1


def test_a_change_without_an_answer_is_not_sent_again(make_client: Make, free_port: int, patience: Patience) -> None:
    client = make_client(f"http://127.0.0.1:{free_port}", retries=patience.retries)
    with pytest.raises(ConnectFailedError):
        client.models.load("tiny")
    assert patience.pauses == []


def test_a_question_finds_a_sidecar_that_comes_up_meanwhile(make_client: Make, free_port: int) -> None:
    manager = Manager(free_port)
    retries = Retries(sleep=lambda _: manager.start())
    client = make_client(manager.url, retries=retries)
    try:
        assert client.models.list().count == 1
    finally:
        manager.stop()


def test_no_retries(make_client: Make, manager: Manager) -> None:
    manager.answers = [away()]
    with pytest.raises(UnavailableError):
        make_client(manager.url, retries=0).models.list()
    assert len(manager.asked) == 1


def test_pauses_grow_to_the_longest_and_are_spread_over_their_second_half() -> None:
    retries = Retries(draw=lambda: 1.0)
    assert [retries.pause_seconds(number) for number in (0, 1, 4, 5, 10_000)] == [0.25, 0.5, 4.0, 5.0, 5.0]
    assert Retries(draw=lambda: 0.0).pause_seconds(1) == 0.25


@pytest.mark.parametrize("text", [None, "", "-1", "1.5", "9" * 10, "٣", "Mon, 99 Jan 2024 00:00:00 GMT", "x, y"])
def test_what_cannot_be_read_is_no_wish(text: str | None) -> None:
    assert retry_seconds(text, None) is None


def test_a_time_that_is_over_is_now() -> None:
    assert retry_seconds("Mon, 15 Jan 2024 00:00:00 GMT", None) == 0.0
    assert retry_seconds("Mon, 15 Jan 2024 00:00:05 GMT", "Mon, 15 Jan 2024 00:00:01 GMT") == 4.0
