"""The form of errors at each path: what `admin` and `cors` refuse stands in that of the room that it concerns."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.api.room import Refuse, Room, refuse


class Forms:
    """That of the room in one of whose places a path lies."""

    def __init__(self, rooms: Sequence[Room]) -> None:
        forms = {place: room.refuse for room in rooms for place in room.places}
        self._forms = sorted(forms.items(), key=lambda item: len(item[0]), reverse=True)

    def at(self, path: str) -> Refuse:
        """That of the longest place in which the path lies."""
        return next((form for place, form in self._forms if _lies_at(path, place)), refuse)


def _lies_at(path: str, place: str) -> bool:
    return path.startswith(place) if place.endswith("/") else path == place
