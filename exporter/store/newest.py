"""The requests that were stored last, newest first, for lists that are looked at while requests go on.

`reader` asks with it. Who asks every few seconds for what has come since has only that looked at; who asks for what is
rare, or for what there is none of, has `SEARCHED` requests looked through.

Numbers are those of writing. Where several sidecars write into one PostgreSQL, a row can be seen a little after one
of another sidecar with a higher number; those of one sidecar are always seen in order.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, select

from exporter.store.figures import SEARCHED, Filter, StoredCourse
from exporter.store.rows import key, text
from exporter.store.schema import REQUESTS

_R = REQUESTS.c
_SHOWN = [_R[name] for name in StoredCourse._fields]
_LOOKED_AT = (_R.id, _R.finished_us, _R.instance, _R.model, _R.tier, _R.outcome)


def read_newest(
    connection: Connection, which: Filter, count: int, *, since_us: int, searched: int = SEARCHED
) -> list[StoredCourse]:
    """At most `count` of those among the `searched` newest; what finished before `since_us` is hidden.

    Nothing but the number limits what is searched, so the primary key is the only index that a database can take for
    it. The whole rows are fetched by their numbers: SQLite, which sorts what it finds, then carries little around.
    """
    among = _search(which.behind, searched)
    ids = select(among.c.id).where(*_admitted(among, which, since_us)).order_by(among.c.id.desc()).limit(count)
    query = select(*_SHOWN).where(_R.id.in_(ids)).order_by(_R.id.desc())
    return [StoredCourse._make(row) for row in connection.execute(query)]


def _search(behind: int, searched: int) -> Subquery:
    query: Select[Any] = select(*_LOOKED_AT)
    if behind:
        query = query.where(_R.id > behind)
    return query.order_by(_R.id.desc()).limit(searched).subquery("searched")


def _admitted(among: Subquery, which: Filter, since_us: int) -> list[ColumnElement[bool]]:
    """Names are compared as `rows` writes them: cut, harmless, and unknown where they are ''."""
    found = [among.c.finished_us >= since_us]
    if which.instance is not None:
        found.append(among.c.instance == text(which.instance))
    if which.model is not None:
        found.append(among.c.model == key(which.model))
    if which.tier is not None:
        found.append(among.c.tier == (text(which.tier) or ""))
    if which.outcomes:
        found.append(among.c.outcome.in_([text(each) for each in which.outcomes]))
    return found
