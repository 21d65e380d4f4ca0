"""What the managed llama-server says: goes to a sink, with the name of the model that it is about, and tells why a load
or the whole server failed. `managed` has one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from exporter.logs import Level
from exporter.models.server.lines import Line, parse

MODELS_LIMIT = 1000
"""Models of which names and words are kept; a router that has had more forgets the eldest."""
REASON_LIMIT = 500
"""Characters."""
EARLY_SECONDS = 1.0
"""A model's first words can arrive before the line that says whose they are."""
RECENT_SECONDS = 10.0
"""Older words do not say why it has ended now."""
SPAWNED = re.compile(r"spawning server instance with name=(.+) on port (\d+)$")
ABOUT = re.compile(r"instance name=(.+?)(?: exited with status -?\d+| after timeout)?$")
LOADED = re.compile(r"srv +\S+: model loaded$")
FOLLOWS = re.compile(
    r"exiting due to |failed to load model|failed to create (llama_)?context|encountered an error while trying to fit "
)
"""Errors that only say that there was one before."""

POLLED = re.compile(r"srv +proxy_reques\S*: proxying request to model ")
"""For every request, our own looks at the models among them: nobody could find anything else any more."""


class Sink(Protocol):
    """Where lines go."""

    def __call__(self, level: Level, message: str, fields: Mapping[str, Any] | None = None) -> None:
        """Keep a line."""
        ...


class Reason:
    """The error that says most of why something failed, of all that are reported."""

    def __init__(self, *, newest: bool) -> None:
        """The first one is the cause of the others while something starts; later on, the newest."""
        self.text: str | None = None
        self.at = 0.0
        self._newest = newest
        self._follows = False

    def note(self, line: Line, now: float) -> None:
        """There was an error."""
        follows = FOLLOWS.match(line.reason) is not None
        if self.text is None or (self._follows and not follows) or (self._newest and not follows):
            self.text, self.at, self._follows = line.reason[:REASON_LIMIT], now, follows


class ServerWords:
    """Hears every line."""

    def __init__(self, sink: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._clock = clock
        self._names: dict[int, str] = {}
        self._ports: dict[str, int] = {}
        self._reasons: dict[int | None, Reason] = {None: Reason(newest=True)}

    def begin(self) -> None:
        """A llama-server is started: what another one said is not its own."""
        self._names, self._ports, self._reasons = {}, {}, {None: Reason(newest=True)}

    def hear(self, text: str) -> None:
        """A line has come."""
        line = parse(text)
        if line.message.strip() and not POLLED.match(line.message):
            name = self._name(line)
            self._sink(line.level, line.message, None if name is None else {"model": name})
            if line.level == "error":
                self._note(line)

    def last_words(self, model: str) -> str | None:
        """Why the last load of a model failed, or its process has ended, as far as it was said; None when a load has
        begun since."""
        reason = self._reasons.get(self._ports.get(model, -1))
        return None if reason is None else reason.text

    def settle(self) -> None:
        """The server has become ready: what it met with before was no reason to end."""
        self._reasons[None] = Reason(newest=True)

    def own_words(self) -> str | None:
        """Why the server itself has ended just now, as far as it was said."""
        reason = self._reasons[None]
        return reason.text if self._clock() - reason.at <= RECENT_SECONDS else None

    def _name(self, line: Line) -> str | None:
        """The model that a line is about; what it tells of models is taken up."""
        if line.port is not None:
            if LOADED.match(line.message):
                self._keep(self._reasons, line.port, Reason(newest=True))
            return self._names.get(line.port)
        if (spawned := SPAWNED.search(line.message)) is not None:
            self._spawned(spawned[1], int(spawned[2]))
            return spawned[1]
        about = ABOUT.search(line.message)
        return about[1] if about is not None and about[1] in self._ports else None

    def _spawned(self, name: str, port: int) -> None:
        self._keep(self._names, port, name)
        self._keep(self._ports, name, port)
        early = self._reasons.get(port)
        if early is not None and self._clock() - early.at > EARLY_SECONDS:
            del self._reasons[port]

    def _note(self, line: Line) -> None:
        reason = self._reasons.get(line.port)
        if reason is None:
            reason = Reason(newest=False)
            self._keep(self._reasons, line.port, reason)
        reason.note(line, self._clock())

    def _keep(self, where: dict[Any, Any], key: object, value: object) -> None:
        """As the newest; the eldest is forgotten, but for what the router says of itself."""
        where.pop(key, None)
        where[key] = value
        if len(where) > MODELS_LIMIT:
            eldest = next(each for each in where if each is not None)
            del where[eldest]
