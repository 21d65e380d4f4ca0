"""What the sidecar refuses, and what is no answer of it, as exceptions."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from exporter.client import (
    AuthenticationError,
    ConflictError,
    ConnectFailedError,
    ForbiddenError,
    LlamaProxyClient,
    LlamaProxyError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    ServerError,
    UnavailableError,
    ValidationError,
)
from tests.client.llama_proxy.conftest import Patience
from tests.client.llama_proxy.manager import Manager, Reply
from tests.nextjs_document import error

Make = Callable[..., LlamaProxyClient]


@pytest.fixture
def impatient(manager: Manager, make_client: Make) -> LlamaProxyClient:
    return make_client(manager.url, retries=0)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "VALIDATION_ERROR", ValidationError),
        (401, "UNAUTHORIZED", AuthenticationError),
        (403, "FORBIDDEN", ForbiddenError),
        (404, "NOT_FOUND", NotFoundError),
        (405, "METHOD_NOT_ALLOWED", LlamaProxyError),
        (409, "CONFLICT", ConflictError),
        (413, "PAYLOAD_TOO_LARGE", ValidationError),
        (429, "RATE_LIMITED", RateLimitedError),
        (500, "INTERNAL_ERROR", ServerError),
        (502, "BAD_GATEWAY", ServerError),
        (503, "SERVICE_UNAVAILABLE", UnavailableError),
    ],
)
def test_every_status_has_its_class(
    impatient: LlamaProxyClient, manager: Manager, status: int, code: str, kind: type[LlamaProxyError]
) -> None:
    fields, details = {"models.0.name": "is missing"}, "models.0.name: is missing"
    manager.answers = [Reply(status, error(status, code, "No.", details, fields=fields))]
    with pytest.raises(LlamaProxyError) as raised:
        impatient.models.list()
    found = raised.value
    assert type(found) is kind
    assert (found.status, found.code, found.message, found.details) == (status, code, "No.", details)
    assert found.fields == fields
    assert (found.request_id, str(found)) == ("req_12345", f"{status} {code}: No. (request req_12345)")
    assert len(manager.asked) == 1


def test_an_error_that_is_a_text_is_the_message(impatient: LlamaProxyClient, manager: Manager) -> None:
    manager.answers = [Reply(409, {"error": "another model is loading"}, {"X-Request-ID": "req_7"})]
    with pytest.raises(ConflictError, match=r"^409 another model is loading \(request req_7\)$") as raised:
        impatient.models.load("tiny")
    assert (raised.value.code, raised.value.details, raised.value.fields) == (None, None, {})


@pytest.mark.parametrize("reply", [Reply(502, text="<html>nginx</html>"), Reply(502, []), Reply(502, {"error": None})])
def test_an_error_of_somebody_else_is_known_by_its_status(
    impatient: LlamaProxyClient, manager: Manager, reply: Reply
) -> None:
    manager.answers = [reply]
    with pytest.raises(ServerError, match=r"^502 Bad Gateway$"):
        impatient.models.list()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(200, text="<html>"), "the answer is no JSON"),
        (Reply(200, text=""), "the answer is no JSON"),
        (Reply(200, text="[" * 100_000), "the answer is no JSON"),
        (Reply(200, {"models": []}), "the answer.count is missing"),
        (Reply(200, {"count": 1, "models": [{"id": "a"}]}), r"the answer.models\[0\].name is missing"),
        (Reply(307, None, {"Location": "http://127.0.0.1:9/api/models"}), "the answer is a redirection"),
    ],
)
def test_what_is_no_answer_of_the_contract(
    client: LlamaProxyClient, manager: Manager, reply: Reply, message: str
) -> None:
    manager.answers = [reply]
    with pytest.raises(ProtocolError, match=message):
        client.models.list()
    assert len(manager.asked) == 1


def test_an_answer_without_an_end_is_given_up(
    impatient: LlamaProxyClient, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.client.llama_proxy.exchange.ANSWER_LIMIT_BYTES", 1000)
    manager.answers = [Reply(200, {"models": ["x" * 2000]})]
    with pytest.raises(ProtocolError, match="has no end"):
        impatient.models.list()
    assert impatient.models.list().count == 1


def test_nobody_is_there(make_client: Make, free_port: int, patience: Patience) -> None:
    client = make_client(f"http://127.0.0.1:{free_port}", retries=patience.retries)
    with pytest.raises(ConnectFailedError, match="ConnectError") as raised:
        client.config.get()
    assert raised.value.status is None
    assert len(patience.pauses) == 4


def test_no_answer_in_time(make_client: Make, manager: Manager) -> None:
    manager.is_open.clear()
    client = make_client(manager.url, timeout=0.05)
    with pytest.raises(ConnectFailedError, match=r"no answer within 0\.05 seconds"):
        client.config.get()
    assert len(manager.asked) <= 1


def test_what_is_no_json_is_not_sent(client: LlamaProxyClient, manager: Manager) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        client.models.load("tiny", {"temperature": float("nan")})
    with pytest.raises(TypeError, match="not JSON serializable"):
        client.config.update({"app": object()})
    assert manager.asked == []


def test_an_error_can_be_pickled(impatient: LlamaProxyClient, manager: Manager) -> None:
    manager.answers = [Reply(429, error(429, "RATE_LIMITED", "Too many"), {"Retry-After": "7"})]
    with pytest.raises(RateLimitedError) as raised:
        impatient.models.list()
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (str(copy), copy.retry_after, type(copy)) == (str(raised.value), 7.0, RateLimitedError)


def test_an_answer_that_trickles_in_is_given_up(make_client: Make) -> None:
    def trickle() -> Iterator[bytes]:
        while True:
            time.sleep(0.02)
            yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=trickle()))
    with pytest.raises(ConnectFailedError, match="took too long"):
        make_client("http://sidecar", timeout=0.1, transport=transport).models.list()


def test_an_answer_that_cannot_be_unpacked(make_client: Make) -> None:
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b"plain"]))
    )
    with pytest.raises(ProtocolError, match="cannot be unpacked"):
        make_client("http://sidecar", transport=transport).models.list()
