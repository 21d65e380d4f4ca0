"""What each model is asked at the moment, and how fast it was last: requests in flight, and the read-models."""

from __future__ import annotations

from collections import Counter

from exporter.api.views import Views
from exporter.live.history import Course
from exporter.models.model import Model


class Activity:
    """As it is when this is made. A llama-server that has one model answers everything with it, whatever is asked."""

    def __init__(self, views: Views) -> None:
        servers = views.snapshot().servers.items()
        self._alone = {name for name, server in servers if server.only_model is not None}
        self._in_flight = Counter(
            self._key(each.upstream, each.served_model or each.requested_model) for each in views.active.asking()
        )
        self._courses: dict[tuple[str | None, str | None], Course] = {}
        for key, course in views.history.models.items():
            known = self._courses.get(self._key(*key))
            if course.speeds and (known is None or known.last_wall < course.last_wall):
                self._courses[self._key(*key)] = course

    def requests(self, model: Model) -> int:
        """In flight."""
        return self._in_flight[self._key(model.upstream, model.name)]

    def tokens_per_second(self, model: Model) -> float | None:
        """Of its last request whose speed is known."""
        course = self._courses.get(self._key(model.upstream, model.name))
        return None if course is None else course.speeds[-1]

    def _key(self, upstream: str | None, model: str | None) -> tuple[str | None, str | None]:
        return upstream, None if upstream in self._alone else model
