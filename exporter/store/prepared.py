"""Statements that run twice a second, compiled once: to build one with SQLAlchemy takes longer than to run it.

`batch` uses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

from sqlalchemy import Connection, CursorResult, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Prepared(NamedTuple):
    """A statement as the driver wants it, with its parameters by place."""

    sql: str
    names: tuple[str, ...]
    """The parameter at each place."""
    values: Mapping[str, Any]
    """Those that are known already."""

    @classmethod
    def of(cls, statement: ClauseElement, dialect: Dialect, columns: Sequence[str] | None = None) -> Self:
        """Compile it; an INSERT for these columns."""
        compiled = cast(SQLCompiler, statement.compile(dialect=dialect, column_keys=columns))
        known = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        return cls(str(compiled), tuple(compiled.positiontup or ()), known)

    def run(self, connection: Connection, **values: Any) -> CursorResult[*tuple[Any, ...]]:
        """Run it with the rest of its parameters."""
        known = {**self.values, **values}
        return connection.exec_driver_sql(self.sql, tuple(known[name] for name in self.names))

    def run_for_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each row, which must have every parameter."""
        connection.exec_driver_sql(self.sql, [tuple(row[name] for name in self.names) for row in rows])
