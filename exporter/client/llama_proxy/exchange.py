"""One question to the sidecar and its answer: retries, errors and deadlines are here, and nowhere else.

The groups of methods (`models`, `config`, ...) ask through it; `stream` polls through it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from exporter.client.llama_proxy.address import Address
from exporter.client.llama_proxy.errors import ConnectFailedError, LlamaProxyError, ProtocolError, failure
from exporter.client.llama_proxy.retries import Retries, retry_seconds

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
SHORTEST_TIMEOUT_SECONDS = 0.001
AGAIN = frozenset((429, 503))
"""Says that nothing was done, and to come again."""


class Answer(NamedTuple):
    """What came."""

    status: int
    headers: httpx.Headers
    body: bytes


class Exchange:
    """Thread-safe, as httpx's client is."""

    def __init__(
        self,
        address: Address,
        api_key: str | None,
        timeout_seconds: float,
        retries: Retries,
        transport: httpx.BaseTransport | None,
    ) -> None:
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key):
            raise ValueError("api_key must be printable ASCII without blanks around it")
        self.address = address
        self.timeout_seconds = timeout_seconds
        self.retries = retries
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if api_key is not None:
            headers["X-Api-Key"] = api_key
        # The environment may name a proxy, and mostly means others than a sidecar on this machine.
        self._http = httpx.Client(headers=headers, transport=transport, trust_env=False)

    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._http.is_closed

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, query: Mapping[str, str] | None = None, *, despite_503: str | None = None) -> Any:
        """The JSON of a page. A document that has the key `despite_503` is an answer with status 503, too. Raises
        LlamaProxyError."""
        return self._ask("GET", path, query=query, despite_503=despite_503)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a change is answered with. Raises LlamaProxyError; ValueError, TypeError where `body` is no
        JSON."""
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        return self._ask(method, path, content=content)

    def once(
        self,
        method: str,
        url: str,
        timeout_seconds: float,
        *,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Ask once, and take any status. Raises ConnectFailedError, and ProtocolError for an answer without an end."""
        deadline = time.monotonic() + timeout_seconds
        headers = None if content is None else {"Content-Type": content_type}
        limits = httpx.Timeout(max(timeout_seconds, SHORTEST_TIMEOUT_SECONDS))
        try:
            with self._http.stream(
                method, url, params=query, content=content, headers=headers, timeout=limits
            ) as response:
                return Answer(response.status_code, response.headers, _body(response, deadline))
        except httpx.TimeoutException:
            raise ConnectFailedError(f"no answer within {timeout_seconds:.3g} seconds") from None
        except httpx.TransportError as error:
            raise ConnectFailedError(f"{type(error).__name__}: {error}") from error
        except httpx.DecodingError:
            raise ProtocolError("the answer cannot be unpacked") from None

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        despite_503: str | None = None,
    ) -> Any:
        deadline = time.monotonic() + self.timeout_seconds
        for number in range(self.retries.limit + 1):
            error: LlamaProxyError
            asked_seconds = None
            try:
                remaining = deadline - time.monotonic()
                answer = self.once(method, self.address.api + path, remaining, query=query, content=content)
            except ConnectFailedError as failed:
                error, is_worth_it = failed, method == "GET"
            else:
                if 200 <= answer.status < 300:
                    return document(answer)
                if answer.status == 503 and despite_503 in (found := _object(answer)):
                    return found
                error, is_worth_it = refusal(answer), answer.status in AGAIN
                asked_seconds = getattr(error, "retry_after", None)
            pause = self.retries.pause_seconds(number) if asked_seconds is None else asked_seconds
            if not is_worth_it or number == self.retries.limit or time.monotonic() + pause >= deadline:
                raise error
            self.retries.sleep(pause)
        raise AssertionError  # the last round returns or raises


def document(answer: Answer) -> Any:
    """Its JSON. Raises ProtocolError."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        request_id = answer.headers.get("x-request-id")
        raise ProtocolError("the answer is no JSON", status=answer.status, request_id=request_id) from None


def refusal(answer: Answer) -> LlamaProxyError:
    """Why an answer is not what was asked for."""
    request_id = answer.headers.get("x-request-id")
    if answer.status < 400:
        return ProtocolError("the answer is a redirection", status=answer.status, request_id=request_id)
    return failure(
        answer.status,
        _object(answer),
        reason=httpx.codes.get_reason_phrase(answer.status) or "no reason given",
        request_id=request_id,
        retry_after=retry_seconds(answer.headers.get("retry-after"), answer.headers.get("date")),
    )


def _object(answer: Answer) -> dict[str, Any]:
    """Its JSON; empty where that is no object."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _body(response: httpx.Response, deadline: float) -> bytes:
    chunks, length = [], 0
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        length += len(chunk)
        if length > ANSWER_LIMIT_BYTES:
            raise ProtocolError("the answer has no end", status=response.status_code)
        if time.monotonic() > deadline:
            raise ConnectFailedError("the answer took too long")
    return b"".join(chunks)
