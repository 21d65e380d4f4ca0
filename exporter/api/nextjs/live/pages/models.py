"""The lists of models for the manager's own pages, of which each model is encoded once. `pages` has them told."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from exporter.api.nextjs.live.pages import documents as page_documents
from exporter.api.nextjs.live.pages.activity import Activity
from exporter.api.nextjs.live.pages.model_ids import ModelIds
from exporter.api.nextjs.live.sockets.packets import DEFAULT, Packet, Text, encode_object, encode_slices, packet
from exporter.api.views import Views
from exporter.models.model import Model
from exporter.models.models import Models
from exporter.models.server.managed import ManagedServer

MODELS, LOADED, STATUSES, SERVER = range(4)
"""The packets of an update."""


class PageModels:
    """Makes updates."""

    def __init__(self, views: Views, models: Models, ids: ModelIds, server: Callable[[], ManagedServer | None]) -> None:
        """`ids` learns what is told."""
        self._views = views
        self._all = models.all
        self._ids = ids
        self._server = server

    def make(self) -> Generator[None, None, Sequence[Packet]]:
        """The list as earlier pages read it and as later ones do, the states alone, which both take for a correction of
        what they assumed, and the server's."""
        activity, names, states = Activity(self._views), dict[str, str](), list[dict[str, str]]()

        def shape(found: Model) -> dict[str, Any]:
            shown = page_documents.model(found, activity)
            names[shown["id"]] = found.name
            states.append({"name": found.name, "status": shown["status"]})
            return shown

        shown = yield from encode_slices(self._all(), shape)
        self._ids.learn(names)
        made = [self._packet("models", "models", shown), self._packet("models_loaded", "models_loaded", shown)]
        statuses = yield from encode_slices(states, lambda each: each)
        made.append(self._packet("message", "status", encode_object({"models": statuses})))
        server = page_documents.llama_status(self._views, self._server(), shown)
        lasting = {name: value for name, value in server.items() if name != "uptime"}
        made.append(self._packet("llamaStatus", "status", encode_object(server), lasting))
        return made

    def _packet(self, event: str, kind: str, data: Text, says: object = None) -> Packet:
        more = {"success": True} if event == "models_loaded" else {}
        document = page_documents.message(kind, data, self._views, **more)
        return packet(DEFAULT, event, encode_object(document), data if says is None else says)
