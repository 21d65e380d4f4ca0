"""`client.models`: what there is, what is found, what is loaded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from exporter.client.llama_proxy.address import segment
from exporter.client.llama_proxy.documents import Document, read
from exporter.client.llama_proxy.errors import NotLoadedError, RateLimitedError, UnavailableError
from exporter.client.llama_proxy.exchange import Exchange

LOADED = frozenset(("running", "idle"))
"""`idle` is loaded too: the next request wakes it."""
WAIT_SECONDS = 300.0
LOOK_SECONDS = (0.25, 0.5, 1.0, 2.0)
"""Pauses between two looks of `wait`; the last goes on. The sidecar allows 100 requests a minute."""


@dataclass(frozen=True, slots=True)
class Model(Document):
    """A model as it is now."""

    id: str
    name: str
    status: str
    """`stopped`, `loading`, `running`, `idle`, `unloading`, `error`; `registered` where it was just registered."""
    description: str | None
    version: str | None
    path: str | None
    size: int | None
    """Bytes."""
    family: str | None
    context_size: int | None
    """Tokens."""
    loaded_at: datetime | None
    last_used: datetime | None
    quantization: str | None
    progress: float | None
    """Per cent, while it is loading."""
    error: str | None
    """Why its last load failed."""
    outdated: bool | None
    """Whether it runs with other parameters than its next load would use."""

    @property
    def is_loaded(self) -> bool:
        """Whether it can answer."""
        return self.status in LOADED


@dataclass(frozen=True, slots=True)
class ModelList(Document):
    """All models; iterable."""

    count: int
    models: tuple[Model, ...]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, index: int) -> Model:
        return self.models[index]


@dataclass(frozen=True, slots=True)
class Registration(Document):
    """Which models were registered."""

    message: str | None
    registered: int
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class ModelFile(Document):
    """A model file that was found, and what its header says."""

    name: str
    path: str
    description: str | None
    version: str | None
    family: str | None
    size: int | None
    """Bytes."""
    format: str | None
    quantization: str | None
    context_size: int | None


@dataclass(frozen=True, slots=True)
class Discovery(Document):
    """What a search has found; iterable."""

    discovered: tuple[ModelFile, ...]
    scanned_paths: tuple[str, ...]
    total_found: int | None
    errors: tuple[Any, ...]
    """Files that could not be read, and why."""

    def __iter__(self) -> Iterator[ModelFile]:
        return iter(self.discovered)

    def __len__(self) -> int:
        return len(self.discovered)


@dataclass(frozen=True, slots=True)
class Change(Document):
    """What has begun to happen to a model, or was done."""

    message: str | None
    model_id: str
    status: str | None
    """`loading`, `unloading`; None for a removal."""
    estimated_time: float | None
    """Seconds, for a load; None where none of this model was seen yet."""


Entry: TypeAlias = Mapping[str, Any]
"""`name`, `path`, `description`, `family`, `version`, `options`."""


class Models:
    """Names may hold slashes and colons. Everything raises LlamaProxyError; an unknown name is a NotFoundError."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def list(self) -> ModelList:
        """Registered models, and those that llama-servers have beside them."""
        return read(ModelList, self._exchange.get("/models"))

    def get(self, name: str) -> Model:
        """One of them."""
        return _model(self._exchange.get(f"/models/{segment(name)}"))

    def load(self, name: str, config: Mapping[str, Any] | None = None) -> Change:
        """Begin to load a model, with options (`n_ctx`, `temperature`, ...) that stay its own; `wait` waits for it.
        Raises ConflictError while another is loading, ValidationError for options that there are not."""
        body = {} if config is None else {"config": dict(config)}
        return read(Change, self._exchange.send("POST", f"/models/{segment(name)}/load", body))

    def unload(self, name: str, force: bool = False) -> Change:
        """Begin to unload a model. Raises ConflictError while it answers requests, unless it is forced."""
        body = {"force": True} if force else {}
        return read(Change, self._exchange.send("POST", f"/models/{segment(name)}/unload", body))

    def wait(self, name: str, timeout: float = WAIT_SECONDS) -> Model:
        """The model as soon as it is loaded. Raises NotLoadedError when its load fails, or has not ended in `timeout`
        seconds. It looks every two seconds in the end, and less often where the sidecar asks for that."""
        deadline = time.monotonic() + timeout
        status, looks = "unknown", 0
        while True:
            pause = LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)]
            try:
                model = self.get(name)
            except (RateLimitedError, UnavailableError) as error:
                pause = max(pause, error.retry_after or 0.0)
            else:
                status = model.status
                if model.is_loaded:
                    return model
                if status == "error":
                    raise NotLoadedError(f"{name} could not be loaded: {model.error or 'no reason given'}")
            if time.monotonic() + pause >= deadline:
                raise NotLoadedError(f"{name} is not loaded after {timeout:.3g} seconds; its status is {status}")
            self._exchange.retries.sleep(pause)
            looks += 1

    def discover(
        self,
        paths: Iterable[str] | None = None,
        recursive: bool = True,
        include_patterns: Iterable[str] | None = None,
        exclude_patterns: Iterable[str] | None = None,
    ) -> Discovery:
        """Look for model files, in the sidecar's models folder where no paths are given. Raises ForbiddenError for a
        path outside the configured folders."""
        lists = {"paths": paths, "includePatterns": include_patterns, "excludePatterns": exclude_patterns}
        given = {key: _texts(value) for key, value in lists.items() if value is not None}
        return read(Discovery, self._exchange.send("POST", "/models/discover", {**given, "recursive": recursive}))

    def register(self, models: Entry | Iterable[Entry]) -> Registration:
        """Register one model or several, all or none. Raises ConflictError where one exists."""
        entries = [models] if isinstance(models, Mapping) else models
        body = {"models": [dict(entry) for entry in entries]}
        return read(Registration, self._exchange.send("POST", "/models", body))

    def update(self, name: str, changes: Mapping[str, Any]) -> Model:
        """Change what is registered of a model; what `changes` does not name stays."""
        return _model(self._exchange.send("PUT", f"/models/{segment(name)}", dict(changes)))

    def remove(self, name: str) -> Change:
        """Take a model out of the registry; its file stays. Raises ConflictError while it is loaded."""
        return read(Change, self._exchange.send("DELETE", f"/models/{segment(name)}"))


def _model(answer: Any) -> Model:
    """Real clients want a model in `data`; a sidecar may leave that out."""
    inner = answer.get("data") if isinstance(answer, dict) else None
    return read(Model, inner if isinstance(inner, dict) else answer)


def _texts(values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise TypeError("a list of texts is wanted, not one text")
    return [*values]
