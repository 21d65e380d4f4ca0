"""Keeps the preset file as the registry and the parameters say, and has the router read it.

A router that reads a changed section unloads its model, and cuts whatever the model is answering. So the section of a
model that has a process stays as it is in force, until that process is gone. `loading` and `models` call it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exporter.models import preset
from exporter.models.model import FailedError, ModelsError
from exporter.models.preset import Section
from exporter.models.router import AwayError, Entry, RefusedError, Router
from exporter.worker import Worker, outcome

log = logging.getLogger(__name__)

T = TypeVar("T")
Sections = Mapping[str, Section]


@dataclass(frozen=True, slots=True)
class _Contents:
    sections: Sections
    text: str | None


class PresetKeeper:
    """The one writer of the file. Its calls must not overlap."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.in_force: Sections = {}
        """What the router has read last, or reads when it is started."""
        self.problem: str | None = None
        """Why the file could not be written, or the router did not take it; None when all is well."""
        self._text: str | None = None
        self.is_unread = False
        """Whether a router may not have read what is in force."""
        self._foreign = False
        self._worker = Worker("models-preset")

    async def open(self) -> None:
        """Take up what an earlier run has written: a running router may have models loaded by it. Where there is no
        file, an empty one is made, for no router starts without."""
        try:
            text = await self._run(lambda: preset.read(self.path))
            if text is None:
                await self._write(_Contents({}, await self._run(lambda: preset.render({}))))
            elif not preset.is_ours(text):
                self._foreign = True
                self._note(f"{self.path} is not ours, and is left as it is: choose another preset file")
            else:
                sections = preset.parse(text)
                self.in_force, self._text = sections or {}, None if sections is None else text
        except FailedError as error:
            self._note(str(error))

    def doubt(self) -> None:
        """The router does not have what it should have read: the next `apply` tells it to read in any case."""
        self.is_unread = True

    async def apply(self, sections: Sections, router: Router | None) -> Mapping[str, Entry] | None:
        """Have these in force: written where they differ from what is, and read by the router where one is there.

        Returned is the router's list, where it has been told to read. Raises RefusedError when it does not take them;
        then all is as before. Every other trouble is no reason not to go on, and becomes the `problem`.
        """
        if self._foreign or (sections == self.in_force and self._text is not None and not self.is_unread):
            return None
        try:
            new = _Contents(sections, await self._run(lambda: preset.render(sections)))
            before = _Contents(self.in_force, self._text)
            if new.text != before.text:
                await self._write(new)
            return await self._have_read(router, before) if router is not None else None
        except RefusedError as error:
            self._note(f"llama-server does not take {self.path}: {error}")
            raise
        except ModelsError as error:
            self._note(str(error))
            return None

    async def _have_read(self, router: Router, before: _Contents) -> Mapping[str, Entry] | None:
        try:
            entries = await router.reload()
        except AwayError:
            self.is_unread = False  # it reads the file when it is started
            return None
        except RefusedError:
            await self._take_back(router, before)
            raise
        self.is_unread, self.problem = False, None
        return entries

    async def _take_back(self, router: Router, before: _Contents) -> None:
        """A router that has refused a file may hang with every load until it has read one that it takes."""
        try:
            await self._write(before if before.text is not None else _Contents({}, preset.render({})))
            await router.reload()
            self.is_unread = False
        except ModelsError as error:
            log.warning("llama-server does not take the former preset file either", extra={"reason": str(error)})

    async def _write(self, contents: _Contents) -> None:
        text = contents.text or ""
        await self._run(lambda: preset.write(self.path, text))
        self.in_force, self._text, self.is_unread, self.problem = contents.sections, text, True, None

    async def _run(self, job: Callable[[], T]) -> T:
        return await outcome(self._worker.submit(job))

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("the preset file is not in force", extra={"reason": problem})
        self.problem = problem
