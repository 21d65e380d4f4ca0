"""The requests that were stored last, newest first, for lists that are looked at while requests go on.

`reader` asks with it. Who asks every few seconds for what has come since has only that looked at; who asks for what is
rare, or for what there is none of, has `SEARCHED` requests looked through: of one sidecar where one is named, so that
busy ones beside it do not hide what it has done.

Numbers are those of writing. Where several sidecars write into one PostgreSQL, a row can be seen a little after one
of another sidecar with a higher number; those of one sidecar are always seen in order.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, any_, select
from sqlalchemy.dialects.postgresql import array

from exporter.store.figures import SEARCHED, Filter, StoredCourse
from exporter.store.rows import key, text
from exporter.store.schema import REQUESTS

_R = REQUESTS.c
_SHOWN = [_R[name] for name in StoredCourse._fields]
_LOOKED_AT = (_R.id, _R.finished_us, _R.model, _R.tier, _R.outcome)


def read_newest(
    connection: Connection, which: Filter, count: int, *, since_us: int, searched: int = SEARCHED
) -> list[StoredCourse]:
    """At most `count` of those among the `searched` newest; what finished before `since_us` is hidden.

    Nothing but the number and the sidecar limits what is searched, so there is one index to be walked from its end: the
    primary key, or `requests_instance`. The whole rows are fetched by their numbers: SQLite, which sorts what it finds,
    then carries little around.
    """
    among = _search(which, searched, is_sqlite=connection.dialect.name == "sqlite")
    ids = select(among.c.id).where(*_admitted(among, which, since_us)).order_by(among.c.id.desc()).limit(count)
    query = select(*_SHOWN).where(_R.id.in_(ids)).order_by(_R.id.desc())
    return [StoredCourse._make(row) for row in connection.execute(query)]


def _search(which: Filter, searched: int, *, is_sqlite: bool) -> Subquery:
    query: Select[Any] = select(*_LOOKED_AT)
    if which.instance is not None:
        query = query.where(_is_of(text(which.instance) or "", is_sqlite=is_sqlite)).order_by(_R.instance.desc())
    if which.behind:
        query = query.where(_R.id > which.behind)
    return query.order_by(_R.id.desc()).limit(searched).subquery("searched")


def _is_of(instance: str, *, is_sqlite: bool) -> ColumnElement[bool]:
    """PostgreSQL thinks that rows of a sidecar lie evenly among all others. For one that has long been silent it would
    walk the primary key, past everything that came since; but an array, even of one, has to be ordered by."""
    return _R.instance == (instance if is_sqlite else any_(array([instance])))


def _admitted(among: Subquery, which: Filter, since_us: int) -> list[ColumnElement[bool]]:
    """Names are compared as `rows` writes them: cut, harmless, and unknown where they are ''."""
    found = [among.c.finished_us >= since_us]
    if which.model is not None:
        found.append(among.c.model == key(which.model))
    if which.tier is not None:
        found.append(among.c.tier == (text(which.tier) or ""))
    if which.outcomes:
        found.append(among.c.outcome.in_([text(each) for each in which.outcomes]))
    return found
