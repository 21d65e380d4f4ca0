"""Every document of the contract as of now: the shapes, given what they need of the read-models. The handlers and the
WebSocket ask it."""

from __future__ import annotations

from collections import Counter

from exporter.api.synapse.documents import MetricsUpdate, Queries, Resources, Routing, Tiers
from exporter.api.synapse.models import InFlight, Started, shape_models_status
from exporter.api.synapse.queries import shape_historical, shape_queries, shape_tiers
from exporter.api.synapse.resources import shape_context_utilization, shape_resources
from exporter.api.synapse.routing import shape_orchestrator, shape_routing
from exporter.api.synapse.status_documents import ContextUtilization, Historical, ModelsStatus, OrchestratorStatus
from exporter.api.views import Views
from exporter.utc import utc


class Present:
    """The documents."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def queries(self) -> Queries:
        """`GET /api/metrics/queries`."""
        views = self._views
        return shape_queries(views.windows, views.tiers, views.clock(), views.wall())

    def tiers(self) -> Tiers:
        """`GET /api/metrics/tiers`."""
        return shape_tiers(self._views.history, self._views.tiers)

    def resources(self) -> Resources:
        """`GET /api/metrics/resources`."""
        return shape_resources(self._views.snapshot(), connections=self._views.connections())

    def routing(self) -> Routing:
        """`GET /api/metrics/routing`."""
        return shape_routing(self._views.decisions, self._views.availability(), self._views.tiers)

    def update(self) -> MetricsUpdate:
        """A message of the WebSocket."""
        return {
            "type": "metrics_update",
            "timestamp": utc(self._views.wall()),
            "queries": self.queries(),
            "resources": self.resources(),
            "routing": self.routing(),
        }

    def historical(self) -> Historical:
        """`GET /api/metrics/historical`."""
        views = self._views
        latency = views.windows.latency(views.clock(), views.wall())
        return shape_historical(views.totals.whole(), latency, self._views.uptime_seconds)

    def context_utilization(self) -> ContextUtilization:
        """`GET /api/metrics/context-utilization`."""
        return shape_context_utilization(self._views.snapshot().servers.values(), len(self._in_flight()))

    def models_status(self) -> ModelsStatus:
        """`GET /api/models/status`."""
        views = self._views
        return shape_models_status(
            views.upstreams,
            views.snapshot(),
            views.history,
            views.totals.whole(),
            in_flight=self._in_flight(),
            started=self._started(),
            sampled=views.servers_sampled,
        )

    def orchestrator_status(self) -> OrchestratorStatus:
        """`GET /api/orchestrator/status`."""
        views = self._views
        return shape_orchestrator(
            views.decisions,
            views.history,
            views.snapshot().servers.values(),
            active=Counter(each.tier for each in views.active.asking()),
            tiers=views.tiers,
            wall=views.wall(),
        )

    def _in_flight(self) -> InFlight:
        return InFlight((each.upstream, each.served_model) for each in self._views.active.asking())

    def _started(self) -> Started:
        return Started(self._views.wall(), self._views.uptime_seconds)
