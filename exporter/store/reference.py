"""The tables in words, for docs/store.md: every column with its type and meaning. `docs/generate.py` writes them there.

A meaning stands where it is needed first: at the column, or at the field of the record, the sample or the answer that
has the same value.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from types import ModuleType

from sqlalchemy import JSON, Boolean, Column, Float, Table

from exporter import record
from exporter.store import figures, sample, schema
from exporter.store.schema import MODELS, REQUESTS, RETENTION, ROLLUPS, SAMPLES, SETTINGS, TOTALS

TABLES = (REQUESTS, ROLLUPS, TOTALS, SAMPLES, MODELS, SETTINGS, RETENTION)
OWN = {
    "requests.finished_us": "When it finished.",
    "requests.outcome": "`" + "`, `".join(record.Outcome) + "`.",
    "requests.error_type": "Why it is not `completed`: the server's own word, or `http_<status>`, `timeout`, ...",
    "requests.token_source": "Of these numbers: `server`, which is exact, or `counted`, which can be too low.",
    "requests.attempts": "How many upstreams were tried, or tried again.",
    "requests.tier": "Of that upstream.",
    "requests.complexity": "`" + "`, `".join(record.Complexity) + "`, where there was a choice of models.",
    "requests.score": "That it was judged by, where there was one.",
    "requests.wanted_tier": "Where it belongs while all are well.",
    "requests.fallback": "Whether it went elsewhere.",
    "rollups.duration_us": "Sum.",
    "rollups.requests": "How many.",
    "rollups.input_tokens": "Sum.",
    "rollups.output_tokens": "Sum.",
    "rollups.last_token_us": "Sum over `timed_requests`.",
    "rollups.first_token_us": "Sum over `timed_requests`.",
    "totals.failed": "Those that ended as `" + "`, `".join(sorted(record.FAILURES)) + "`.",
    "totals.last_started_us": "When the newest of them began.",
    "samples.requests_deferred": "Requests that waited inside the servers.",
    "samples.requests_in_flight": "Requests in flight at the sidecar.",
}
"""What is said in another way here."""


def render_tables() -> str:
    """All tables, as Markdown."""
    said = _docstrings(schema)
    constants = {id(getattr(schema, name)): name for name in said if isinstance(getattr(schema, name), Table)}
    parts = [f"### {table.name}\n\n{said[constants[id(table)]]}\n\n{_columns(table)}" for table in TABLES]
    return "\n".join(parts)


def _columns(table: Table) -> str:
    """Columns of one meaning in one line."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for meaning, group in itertools.groupby(table.columns, _meaning):
        columns = list(group)
        names = ", ".join(f"`{column.name}`" for column in columns)
        lines.append(f"| {names} | {', '.join(dict.fromkeys(map(_type, columns)))} | {meaning} |")
    return "\n".join(lines) + "\n"


def _type(column: Column[object]) -> str:
    for kind, word in ((Boolean, "boolean"), (Float, "number"), (JSON, "JSON")):
        if isinstance(column.type, kind):
            return word
    return "text" if column.type.python_type is str else "integer"


def _meaning(column: Column[object]) -> str:
    name = f"{column.table.name}.{column.name}"
    if name in OWN:
        return OWN[name]
    if column.comment:
        return f"{column.comment.rstrip('.')}."
    if column.primary_key and column.table in (ROLLUPS, TOTALS):
        return "As in `requests`; unknown is '' or 0."
    found = next((said[field] for said, field in _glossaries(column) if field in said), "")
    return re.sub(r"\bNone\b", "NULL", found) or ("Sum." if column.table is TOTALS else "")


def _glossaries(column: Column[object]) -> Iterator[tuple[dict[str, str], str]]:
    """Where its meaning may stand, and under which name."""
    if column.table is REQUESTS:
        said = _docstrings(record, "RequestRecord")
        yield said, column.name
        yield said, column.name.replace("_us", "_seconds")
    elif column.table is SAMPLES:
        yield _docstrings(sample, "Sample"), column.name
    elif column.table is ROLLUPS:
        yield _docstrings(figures, "Sums"), column.name


def _docstrings(module: ModuleType, name: str | None = None) -> dict[str, str]:
    """What stands below the names of a module, or of a class in it, in one line each."""
    body = ast.parse(inspect.getsource(module)).body
    if name is not None:
        (body,) = (node.body for node in body if isinstance(node, ast.ClassDef) and node.name == name)
    found = {}
    for node, below in itertools.pairwise(body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[target.id] = " ".join(str(below.value.value).split())
    return found
