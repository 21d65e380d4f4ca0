"""Questions about the course of a machine, and retention that is at work meanwhile."""

from __future__ import annotations

from typing import NamedTuple

from exporter.store import retention
from exporter.store.database import Database
from exporter.store.figures import MachinePoint
from exporter.store.machine import read_machine
from exporter.store.reader import kept_since
from tests.store.requests import HOUR_US, MIDNIGHT_US, WRITING

BOX = WRITING.instance
STEP_SECONDS = (60, 300, 900, 3600)


class Asked(NamedTuple):
    start_us: int = MIDNIGHT_US
    end_us: int = MIDNIGHT_US + HOUR_US
    step: int = 300
    instance: str = BOX


ASKED = Asked()


def ask(database: Database, asked: Asked = ASKED) -> list[MachinePoint]:
    with database.read() as connection:
        start, end, step, instance = asked
        return read_machine(connection, start, end, step, instance=instance, since_us=kept_since(connection))


def thin(database: Database, limit_us: int) -> None:
    """Samples before then become means of a minute."""
    more = True
    while more:
        with database.write() as connection:
            more = retention.thin_samples(connection, limit_us)
