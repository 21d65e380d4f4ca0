"""The path `/llamaproxws`, which the manager's own pages use: everything at once when they come, then what changes, and
an answer to whatever they ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter.api.nextjs.live.pages import documents as page_documents
from exporter.api.nextjs.live.pages.documents import message
from exporter.api.nextjs.live.pages.logs import PageLogs
from exporter.api.nextjs.live.pages.model_ids import ModelIds
from exporter.api.nextjs.live.pages.models import LOADED, MODELS, SERVER, STATUSES, PageModels
from exporter.api.nextjs.live.pages.orders import Orders
from exporter.api.nextjs.live.pages.questions import Questions
from exporter.api.nextjs.live.sockets.audience import Audience
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.delivery import Delivery
from exporter.api.nextjs.live.sockets.packets import DEFAULT, packet
from exporter.api.nextjs.live.sockets.server import UNKNOWN_EVENT
from exporter.api.nextjs.live.sockets.stream import Making, Stream
from exporter.api.views import Views
from exporter.live.logbook import Logbook
from exporter.models.models import Models
from exporter.models.server.managed import ManagedServer
from exporter.utc import utc

HELLO = "connected to llama-exporter"
CORRECTION = "correction"
"""A kind of question that pages ask by orders that fail."""
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
        delivery: Delivery,
    ) -> None:
        """`intervals`: seconds between two updates of metrics, and of models."""
        self.audience = Audience()
        self.logs = PageLogs(self.audience, logbook, delivery, views)
        self.ids = ModelIds(models)
        of_metrics, of_models = intervals
        make, clock = PageModels(views, models, self.ids, server).make, views.clock
        self.metrics = Stream(self.audience, self._metrics, of_metrics, delivery=delivery, clock=clock)
        self.models = Stream(self.audience, make, of_models, delivery=delivery, clock=clock)
        self.orders: Orders | None = None
        """Who does what pages want done."""
        self._views = views
        self._questions = Questions(
            {
                "requestmetrics": self.metrics.tell,
                "requestmodels": lambda client: self.models.tell(client, MODELS),
                "rescanmodels": lambda client: self.models.tell(client, MODELS, LOADED),
                "requestlogs": self.logs.ask,
                "downloadlogs": self.logs.ask,
                "requestllamastatus": lambda client: self.models.tell(client, SERVER),
                "loadmodels": lambda client: self.models.tell(client, LOADED),
                CORRECTION: lambda client: self.models.tell(client, MODELS, LOADED, STATUSES),
            },
            clock,
        )

    def joined(self, client: Client) -> None:
        """How everything is; the logs follow soon."""
        hello = {"type": "connection", "clientId": client.id, "message": HELLO, "timestamp": utc(self._views.wall())}
        client.send(packet(DEFAULT, "message", hello))
        self.logs.joined(client)
        self.metrics.tell(client)
        self.models.tell(client, MODELS, LOADED, SERVER)

    def left(self, client: Client) -> None:
        """It is gone."""
        self.logs.left(client)
        self._questions.left(client)

    def heard(self, client: Client, event: str, arguments: list[Any]) -> Any:
        """A question, an order, or something that nobody knows."""
        word = event.replace("_", "").lower()
        self.logs.heard(client, event)
        if word in self._questions:
            if not self._questions.ask(client, word):
                client.minute.forgive()
            return None
        argument = arguments[0] if arguments else None
        if event in IGNORED or (self.orders is not None and self.orders.take(client, word, argument)):
            return None
        return {
            "success": False,
            "error": {"code": "NOT_FOUND", "message": UNKNOWN_EVENT},
            "timestamp": utc(self._views.wall()),
        }

    def change(self) -> None:
        """Something has happened to a model."""
        self.ids.change()
        self.models.change()

    def correct(self, client: Client) -> None:
        """Tell it how models really are, if it is still there: it has assumed that its order would be carried out."""
        if client in self.audience:
            self._questions.ask(client, CORRECTION)

    def _metrics(self) -> Making:
        yield from ()
        return (packet(DEFAULT, "metrics", message("metrics", page_documents.metrics(self._views), self._views)),)
