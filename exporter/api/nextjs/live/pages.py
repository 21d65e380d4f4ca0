"""The path `/llamaproxws`, which the manager's own pages use: everything at once when they come, then what changes, and
an answer to whatever they ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exporter.api.nextjs.live import page_documents
from exporter.api.nextjs.live.audience import Audience
from exporter.api.nextjs.live.client import Client
from exporter.api.nextjs.live.orders import Orders
from exporter.api.nextjs.live.page_documents import message
from exporter.api.nextjs.live.page_logs import PageLogs
from exporter.api.nextjs.live.pieces import DEFAULT, Piece, piece
from exporter.api.nextjs.live.rounds import Rounds
from exporter.api.nextjs.live.server import UNKNOWN_EVENT
from exporter.api.nextjs.live.stream import Stream
from exporter.api.views import Views
from exporter.live.logbook import Logbook
from exporter.models.managed import ManagedServer
from exporter.models.models import Models
from exporter.utc import utc

HELLO = "connected to llama-exporter"
MODELS, LOADED, STATUSES, SERVER = range(4)
"""The pieces of the update that tells of models."""
IGNORED = frozenset(("message", "logger_config_updated", "loggerConfigUpdated"))
"""What pages say without wanting anything."""


class Pages:
    """The default namespace of that path."""

    name = DEFAULT

    def __init__(
        self,
        views: Views,
        models: Models,
        server: Callable[[], ManagedServer | None],
        logbook: Logbook,
        *,
        intervals: tuple[Callable[[], float], Callable[[], float]],
        rounds: Rounds,
    ) -> None:
        """`intervals`: seconds between two updates of metrics, and of models."""
        self.audience = Audience()
        self.logs = PageLogs(self.audience, logbook, rounds, views)
        of_metrics, of_models = intervals
        clock = views.clock
        self.metrics = Stream(self.audience, self._metrics, of_metrics, rounds=rounds, clock=clock)
        self.models = Stream(self.audience, self._models, of_models, rounds=rounds, clock=clock)
        self.orders: Orders | None = None
        """Who does what pages want done."""
        self._views = views
        self._all = models.all
        self._server = server
        self._questions: dict[str, Callable[[Client], None]] = {
            "requestmetrics": self._tell_metrics,
            "requestmodels": lambda client: self._tell_models(client, MODELS),
            "rescanmodels": lambda client: self._tell_models(client, MODELS, LOADED),
            "requestlogs": self.logs.ask,
            "downloadlogs": self.logs.ask,
            "requestllamastatus": lambda client: self._tell_models(client, SERVER),
            "loadmodels": self._load_models,
        }

    def joined(self, client: Client) -> None:
        """How everything is; the logs follow soon."""
        hello = {"type": "connection", "clientId": client.id, "message": HELLO, "timestamp": utc(self._views.wall())}
        client.send(piece(DEFAULT, "message", hello))
        self._tell_metrics(client)
        self._tell_models(client, MODELS, SERVER)
        self.logs.joined(client)

    def left(self, client: Client) -> None:
        """It is gone."""
        self.logs.left(client)

    def heard(self, client: Client, event: str, arguments: list[Any]) -> Any:
        """A question, an order, or something that nobody knows."""
        word = event.replace("_", "").lower()
        if word in self._questions:
            self._questions[word](client)
            return None
        argument = arguments[0] if arguments else None
        if event in IGNORED or (self.orders is not None and self.orders.take(client, word, argument)):
            return None
        return {
            "success": False,
            "error": {"code": "NOT_FOUND", "message": UNKNOWN_EVENT},
            "timestamp": utc(self._views.wall()),
        }

    def correct(self, client: Client) -> None:
        """Tell it how models really are: it has assumed that its order would be carried out."""
        self._tell_models(client, MODELS, LOADED, STATUSES)

    def _tell_metrics(self, client: Client) -> None:
        for each in self.metrics.newest():
            client.send(each)

    def _tell_models(self, client: Client, *which: int) -> None:
        newest = self.models.newest()
        for number in which:
            client.send(newest[number])

    def _load_models(self, client: Client) -> None:
        self.logs.adds(client)
        self._tell_models(client, LOADED)

    def _metrics(self) -> Sequence[Piece]:
        return (piece(DEFAULT, "metrics", message("metrics", page_documents.metrics(self._views), self._views)),)

    def _models(self) -> Sequence[Piece]:
        """The list as earlier pages read it and as later ones do, the states alone, which both take for a correction of
        what they assumed, and the server's."""
        found, views = self._all(), self._views
        shown = [page_documents.model(each) for each in found]
        statuses = {"models": [{"name": each["name"], "status": each["status"]} for each in shown]}
        server = page_documents.llama_status(views, self._server(), shown)
        return (
            piece(DEFAULT, "models", message("models", shown, views)),
            piece(DEFAULT, "models_loaded", message("models_loaded", shown, views, success=True)),
            piece(DEFAULT, "message", message("status", statuses, views)),
            piece(DEFAULT, "llamaStatus", message("status", server, views)),
        )
