"""Whose a path is: what `admin` and `cors` refuse stands in the form of the room that it concerns, and what they pass
on goes through that room's gate."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.api.room import Gate, Refuse, Room, refuse


class Forms:
    """By the room in one of whose places a path lies."""

    def __init__(self, rooms: Sequence[Room]) -> None:
        owners = {place: room for room in rooms for place in room.places}
        self._owners = sorted(owners.items(), key=lambda item: len(item[0]), reverse=True)

    def at(self, path: str) -> Refuse:
        """The form of errors."""
        owner = self._owner(path)
        return refuse if owner is None else owner.refuse

    def gate_at(self, path: str) -> Gate | None:
        """The gate, where there is one."""
        owner = self._owner(path)
        return None if owner is None else owner.gate

    def _owner(self, path: str) -> Room | None:
        """That of the longest place in which the path lies."""
        return next((room for place, room in self._owners if _lies_at(path, place)), None)


def _lies_at(path: str, place: str) -> bool:
    return path.startswith(place) if place.endswith("/") else path == place
