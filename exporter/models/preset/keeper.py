"""Keeps the preset file as the registry and the parameters say, and has the router read it. `parts` calls it whenever
something may have changed, `upkeep` at the start, and whoever starts a llama-server just before that.

A router that reads a changed section unloads its model, and cuts whatever the model is answering. So the section of a
model that has a process, or requests, stays as it is in force, until that is over. As a request can have the router
load a model at any moment, that is looked at once more between writing the file and having it read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from exporter.models.model import FailedError, ModelsError, UnavailableError
from exporter.models.preset import preset
from exporter.models.preset.file import PresetFile
from exporter.models.preset.preset import Section
from exporter.models.router.router import AwayError, RefusedError
from exporter.worker import Worker, outcome

log = logging.getLogger(__name__)

T = TypeVar("T")
Sections = Mapping[str, Section]


class Around(Protocol):
    """What is asked of the others while the file is brought up to date."""

    @property
    def has_router(self) -> bool:
        """Whether there is somebody to read the file."""
        ...

    def all(self) -> Sections:
        """Every section that the file is to have."""
        ...

    def keep(self, sections: Sections) -> Sections:
        """These, with what is in force of every model that has a process or requests now."""
        ...

    async def look(self) -> None:
        """See which models the router holds now. Raises UnavailableError where that cannot be seen."""
        ...

    async def read(self) -> None:
        """Have the router read the file. Raises as `Router.reload`."""
        ...


class PresetKeeper:
    """The one writer of the file. Its calls must not overlap; only `restore` may come at any time."""

    def __init__(self, path: Path, owner: str = "") -> None:
        """`owner` is the sidecar's name: a file that bears another one's is not written."""
        self.path = path
        self.in_force: Sections = {}
        """What the router has read last, or reads when it is started."""
        self.problem: str | None = None
        """Why the file could not be written, or the router did not take it; None when all is well."""
        self.is_unread = False
        """Whether a router may not have read what is in force."""
        self._file = PresetFile(path, owner)
        self._is_open = False
        self._is_taken_up = False
        self._worker = Worker("models-preset")

    async def open(self) -> None:
        """Take up what an earlier run has written: a running router may have models loaded by it."""
        try:
            await self._take_up()
        except FailedError as error:
            self._note(str(error))
        self._is_open = True

    def check_open(self) -> None:
        """Raises UnavailableError as long as it is not known what an earlier run has written."""
        if not self._is_open:
            raise UnavailableError("the preset file has not been read yet")

    def doubt(self) -> None:
        """The router does not have what it should have read: the next `apply` tells it to read in any case."""
        self.is_unread = True

    def restore(self) -> None:
        """Have the file as we have written it, whatever was done to it: a llama-server is about to read it. Blocks, and
        may be called from any thread. Raises FailedError where it is not ours, or cannot be written."""
        self._file.restore()

    async def apply(self, around: Around) -> None:
        """Have in force what is wanted: written where it differs from what is, and read by the router where one is
        there.

        Raises RefusedError when the router does not take it; then all is as before. UnavailableError when it does not
        answer: then it is to be tried again. Every other trouble is no reason not to go on, and becomes the `problem`.
        """
        try:
            await self._apply(around)
        except RefusedError as error:
            self._note(f"llama-server does not take {self.path}: {error}")
            raise
        except UnavailableError as error:
            self._note(str(error))
            raise
        except ModelsError as error:
            self._note(str(error))

    async def _apply(self, around: Around) -> None:
        if not self._is_taken_up:
            await self._take_up()
        if not await self._run(self._file.is_intact):
            self.is_unread = True
        sections, was_unread = around.all(), self.is_unread
        if sections != self.in_force or was_unread:
            sections = await self._write_what_may(sections, around)
            if around.has_router and (sections != self.in_force or was_unread):
                await self._have_read(sections, around)
            elif around.has_router:
                self.is_unread = False
            self.in_force = sections
        self.problem = None

    async def _take_up(self) -> None:
        self.in_force, self._is_taken_up = await self._run(self._file.take_up), True

    async def _write_what_may(self, sections: Sections, around: Around) -> Sections:
        """Write them, but for those of models that have meanwhile got a process or requests. Returned is what is
        written; where it is not known who has, that is what was in force."""
        was_unread, self.is_unread = self.is_unread, True
        await self._write(sections)
        try:
            while around.has_router:
                await around.look()
                kept = around.keep(sections)
                if kept == sections:
                    break
                sections = kept
                await self._write(sections)
        except UnavailableError:
            await self._write(self.in_force)
            self.is_unread = was_unread
            raise
        return sections

    async def _have_read(self, sections: Sections, around: Around) -> None:
        try:
            await around.read()
        except AwayError:
            return  # it reads the file when it is started, or has just read the one before
        except RefusedError:
            await self._take_back(around)
            raise
        except BaseException:
            self.in_force = sections  # it may have read them
            raise
        self.is_unread = False

    async def _take_back(self, around: Around) -> None:
        """A router that has refused a file may hang with every load until it has read one that it takes."""
        try:
            await self._write(self.in_force)
            await around.read()
            self.is_unread = False
        except ModelsError as error:
            log.warning("llama-server does not take the former preset file either", extra={"reason": str(error)})

    async def _write(self, sections: Sections) -> None:
        await self._run(lambda: self._file.write(preset.render(sections, self._file.owner)))

    async def _run(self, job: Callable[[], T]) -> T:
        return await outcome(self._worker.submit(job))

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("the preset file is not in force", extra={"reason": problem})
        self.problem = problem
