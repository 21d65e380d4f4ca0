"""The models that people have registered: in memory, and on a shelf where there is one. `models` owns it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import fields
from functools import partial

from exporter.errors import StoreError
from exporter.models.model import ConflictError, Document, FailedError, ModelsError, Registered, UnavailableError
from exporter.models.parameters import parameters
from exporter.models.preset import preset
from exporter.models.shelf import Shelf
from exporter.models.turns import bit_by_bit, unbroken
from exporter.system.documents import mapping, size, text

log = logging.getLogger(__name__)

LIMIT = 10_000
FIELDS = tuple(field.name for field in fields(Registered) if field.name not in ("name", "options"))


class Registry:
    """Registered models by name, in the order of registration."""

    def __init__(self, shelf: Shelf | None) -> None:
        """Without a shelf nothing outlives the process."""
        self.models: Mapping[str, Registered] = {}
        """Replaced with every change."""
        self.changed_late: Callable[[], None] = lambda: None
        """Called when a change was made whose caller had been cancelled meanwhile."""
        self._shelf = shelf
        self._restored = shelf is None
        self._turns = asyncio.Lock()

    def __contains__(self, name: object) -> bool:
        return name in self.models

    async def restore(self) -> None:
        """Take up what an earlier run has kept. Raises StoreError, as long as the store is not open."""
        if self._shelf is not None:
            documents = await self._shelf.all()
            found = (read(name, document) for name, document in documents.items())
            self.models = {each.name: each for each in found if each is not None}
        self._restored = True

    async def put(self, models: Iterable[Registered]) -> None:
        """Keep these, instead of those of the same name; all or none. Raises FailedError, ConflictError where there
        would be too many, UnavailableError as long as nothing is restored."""
        self.check_open()
        await self._finish(partial(self._put, {each.name: each for each in models}))

    async def delete(self, name: str) -> None:
        """Keep a model no longer; harmless where there is none. Raises FailedError, UnavailableError."""
        self.check_open()
        await self._finish(partial(self._delete, name))

    async def undo(self, before: Mapping[str, Registered], names: Collection[str]) -> None:
        """Have these as they were before one change of them; others may have been changed since. A store that fails
        now is told of in the log alone."""
        await self._finish(partial(self._undo, before, names))

    async def _finish(self, change: Callable[[], Awaitable[None]]) -> None:
        """Make a change, in the store and here: also when whoever waits for it is cancelled meanwhile."""

        async def make() -> None:
            async with self._turns:
                await change()

        await unbroken(make(), name="registry_change", late=self.changed_late)

    async def _put(self, new: Mapping[str, Registered]) -> None:
        together = {**self.models, **new}
        if len(together) > max(LIMIT, len(self.models)):
            raise ConflictError(f"no more than {LIMIT} models can be registered")
        if self._shelf is not None:
            documents = dict(await bit_by_bit((name, write(each)) for name, each in new.items()))
            try:
                await self._shelf.put(documents)
            except StoreError as error:
                raise FailedError(f"the models could not be saved: {error}") from None
        self.models = together

    async def _delete(self, name: str) -> None:
        if self._shelf is not None:
            try:
                await self._shelf.delete(name)
            except StoreError as error:
                raise FailedError(f"the model could not be removed from the store: {error}") from None
        self.models = {other: each for other, each in self.models.items() if other != name}

    async def _undo(self, before: Mapping[str, Registered], names: Collection[str]) -> None:
        changed = {name for name in names if self.models.get(name) is not before.get(name)}
        back = {name: each for name, each in before.items() if name in changed}
        others = {name: each for name, each in self.models.items() if name not in changed}
        try:
            for name in changed - back.keys():
                await self._delete(name)
            if back:
                await self._put(back)
        except ModelsError as error:
            log.warning("a change of the models could not be taken back in the store", extra={"reason": str(error)})
        in_place = {name: back.get(name) or others[name] for name in before if name in back or name in others}
        self.models = in_place | others

    def check_open(self) -> None:
        """Raises UnavailableError as long as it is not known what an earlier run has kept."""
        if not self._restored:
            raise UnavailableError("the store is not open yet")


def write(model: Registered) -> Document:
    """The model as a document for the shelf, under its name."""
    said = ((field, getattr(model, field)) for field in FIELDS)
    return {field: value for field, value in said if value not in (None, "")} | {"options": dict(model.options)}


def read(name: str, document: Document) -> Registered | None:
    """What another version of us has written, as far as it can be used; None where that is nothing."""
    path = text(document.get("path"))
    try:
        preset.check_name(name)
        if path is not None:
            preset.check_path(path)
    except ModelsError as error:
        log.warning("a registered model is left out", extra={"model": name, "reason": str(error)})
        return None
    said = mapping(document.get("options"))
    options = parameters.known(said)
    if len(options) < len(said):
        log.warning("options of a model are left out", extra={"model": name, "reason": parameters.faults(said)})
    return Registered(
        name=name,
        path=path,
        description=text(document.get("description")) or "",
        family=text(document.get("family")),
        version=text(document.get("version")),
        size_bytes=size(document.get("size_bytes")),
        quantization=text(document.get("quantization")),
        format=text(document.get("format")),
        training_context_size=size(document.get("training_context_size")),
        options=options,
        created_at=_time(document.get("created_at")),
        updated_at=_time(document.get("updated_at")),
    )


def _time(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else 0.0
