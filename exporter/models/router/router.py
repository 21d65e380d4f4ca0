"""What is asked of one llama-server in router mode: its models, loading and unloading them, and having it read its
preset file again. `watch` and `loading` call it.

Every answer has a limit of bytes, and of time for the whole of it. Failures become the room's errors, whose messages
do not hold the address.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import httpx

from exporter.models.model import ConflictError, FailedError, ModelsError, UnavailableError, UnknownModelError
from exporter.models.router.events import Lines, RouterEvent, parse_event
from exporter.system.answers import decode, is_refused, is_shortage, read, request_headers, step_timeout, translate
from exporter.system.documents import Document, mapping, sequence, text
from exporter.system.model_facts import ListedModel, parse_models

LIST_SECONDS = 5.0
CHANGE_SECONDS = 15.0
"""A reload waits until the models that must go are gone (`stop-timeout`, 10 s), a load until another has made room."""
LIMIT_BYTES = 32 * 1024 * 1024
"""Of one answer: some 2 kB are said of each model."""
SILENCE_SECONDS = 60.0
"""Without an event for so long the stream is asked for anew: it says nothing while nothing happens, so one whose other
end is gone would not be noticed."""
CONNECT_SECONDS = 5.0


class AwayError(UnavailableError):
    """Nobody listens at the router's address: its process is gone, and its models with it."""


class ShortageError(UnavailableError):
    """We could not even ask: this machine has no sockets or no memory left. Of the router that says nothing."""


class NoRouterError(ConflictError):
    """A llama-server with one model is at the router's address."""

    def __init__(self) -> None:
        super().__init__("llama-server is not in router mode: it loads no models on demand")


class RefusedError(FailedError):
    """The router does not take its preset file; the message is its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model in a router's list."""

    listed: ListedModel
    arguments: tuple[str, ...]
    """The command line of its process, now or the next time."""
    source: str | None
    """`preset`, `models_dir`, `cache`; None where the build does not say."""

    @property
    def id(self) -> str:
        """What it is asked for by."""
        return self.listed.id

    @property
    def has_file(self) -> bool:
        """Whether there is something to load; a section without a file is listed as well, and loads for ever."""
        return self.source != "preset" or not self.arguments or bool(self.listed.path or self.listed.repository)


class Router:
    """One llama-server in router mode."""

    def __init__(self, client: httpx.AsyncClient, base_url: str, api_key: str | None = None) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._headers = request_headers(api_key)

    async def list(self) -> dict[str, Entry]:
        """Its models by name, as it lists them. Raises UnavailableError, NoRouterError, FailedError."""
        status, document = await self._ask("GET", "/models", LIST_SECONDS)
        return _entries(status, document)

    async def reload(self) -> dict[str, Entry]:
        """Have it read its preset file and folders again; models that were changed in them are unloaded, whatever they
        are doing. Raises RefusedError, UnavailableError."""
        status, document = await self._ask("GET", "/models", CHANGE_SECONDS, {"reload": "1"})
        if status >= 500:
            raise RefusedError(_message(document) or f"llama-server answered {status}")
        return _entries(status, document)

    async def load(self, name: str) -> bool:
        """Begin to load a model; False when it is loaded, or loading, already. Raises UnknownModelError, ConflictError
        where no model makes room for it, FailedError, UnavailableError."""
        return await self._order("/models/load", name, done="already")

    async def unload(self, name: str) -> bool:
        """Begin to unload a model; False when there is nothing to unload. Raises as `load`."""
        return await self._order("/models/unload", name, done="not running")

    async def events(self) -> AsyncGenerator[RouterEvent | None, None]:
        """What happens to its models from now on; a None first, when it listens to us. Ends when the router does, or
        has been silent for long. Raises UnavailableError."""
        limits = httpx.Timeout(CONNECT_SECONDS, read=SILENCE_SECONDS)
        url, lines = f"{self._base_url}/models/sse", Lines()
        try:
            async with self._client.stream("GET", url, headers=self._headers, timeout=limits) as response:
                if response.status_code != 200:
                    raise UnavailableError(f"llama-server tells no events: {response.status_code}")
                yield None
                async for piece in response.aiter_raw():
                    for line in lines.feed(piece):
                        if (event := parse_event(line)) is not None:
                            yield event
        except httpx.ReadTimeout:
            return
        except UnavailableError:
            raise
        except Exception as error:  # whatever it is, nothing more is heard
            raise _unavailable(error) from None

    async def _order(self, path: str, name: str, *, done: str) -> bool:
        status, document = await self._ask("POST", path, CHANGE_SECONDS, body={"model": name})
        if status == 200:
            return True
        message = _message(document) or f"llama-server answered {status}"
        if done in message:
            return False
        if status == 404 or "not found" in message:
            raise UnknownModelError(f"llama-server does not know the model {name!r}")
        if "limit reached" in message:
            raise ConflictError("llama-server has no room for another model: all that are loaded are busy")
        raise FailedError(f"llama-server: {message}")

    async def _ask(
        self,
        method: str,
        path: str,
        limit_seconds: float,
        parameters: Mapping[str, str] | None = None,
        body: object | None = None,
    ) -> tuple[int, object]:
        """Status and document of the answer; None for what is not JSON."""
        try:
            async with asyncio.timeout(limit_seconds):
                status, content = await self._fetch(method, path, limit_seconds, parameters, body)
        except Exception as error:  # whatever it is, there is no answer
            raise _unavailable(error) from None
        if status in (401, 403):
            raise UnavailableError("llama-server refuses the API key")
        return status, decode(content)

    async def _fetch(
        self, method: str, path: str, limit_seconds: float, parameters: Mapping[str, str] | None, body: object | None
    ) -> tuple[int, bytes]:
        # A connection of its own: llama-server closes idle ones now and then just as the next request is written, and
        # an order must not be given twice.
        headers, step = self._headers | {"Connection": "close"}, step_timeout(limit_seconds)
        url = self._base_url + path
        asked = self._client.stream(method, url, params=parameters, headers=headers, json=body, timeout=step)
        return await read(asked, LIMIT_BYTES)


def _unavailable(error: Exception) -> UnavailableError:
    kind = AwayError if is_refused(error) else ShortageError if is_shortage(error) else UnavailableError
    return kind(f"llama-server does not answer: {translate(error)}")


def _message(document: object) -> str | None:
    error = mapping(document).get("error")
    return text(mapping(error).get("message")) or text(error)


def _entries(status: int, document: object) -> dict[str, Entry]:
    listed = parse_models(document) if status == 200 else None
    if listed is None:
        raise _unreadable(status, document)
    raw = {entry.get("id"): entry for entry in map(mapping, sequence(mapping(document).get("data")))}
    if any("status" not in entry for entry in raw.values()):
        raise NoRouterError
    return {model.id: _entry(model, raw[model.id]) for model in listed}


def _unreadable(status: int, document: object) -> ModelsError:
    return FailedError(f"llama-server does not list its models: {_message(document) or status}")


def _entry(listed: ListedModel, raw: Document) -> Entry:
    status = mapping(raw.get("status"))
    arguments = tuple(argument for argument in sequence(status.get("args")) if isinstance(argument, str))
    return Entry(
        listed=listed,
        arguments=arguments,
        source=text(raw.get("source")),
    )
