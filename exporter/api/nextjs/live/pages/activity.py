"""What each model is asked at the moment, and how fast it was last: requests in flight, and the read-models."""

from __future__ import annotations

from exporter.api.views import Views
from exporter.live.history import Course
from exporter.models.model import Model


class Activity:
    """As it is when this is made. A llama-server that has one model answers everything with it, whatever is asked."""

    def __init__(self, views: Views) -> None:
        self._only_models = views.snapshot().only_models()
        self._in_flight = views.active.by_model(self._only_models)
        self._courses: dict[tuple[str | None, str], Course] = {}
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

    def _key(self, upstream: str | None, model: str) -> tuple[str | None, str]:
        return upstream, self._only_models.get(upstream or "") or model
