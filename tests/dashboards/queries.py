"""Whether the queries of a dashboard mean something: every metric and label exists, functions fit the types of the
metrics, operands match, and legends and columns name labels that the result has. `test_promql.py` asks it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import promql_parser as syntax

from exporter.telemetry.catalog import Kind
from tests.dashboards.documents import Check, Json, panels, targets, variables
from tests.dashboards.evaluate import LABEL_VALUES, QueryError, substitute
from tests.dashboards.shape import Shape
from tests.dashboards.vocabulary import bounds, kinds, labels_by_metric
from tests.promql import LostLabelError, Selector, named

RATES = frozenset({"rate", "irate", "increase"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
OF_COUNTERS = RATES | {"resets"}
CHOSEN_ABOVE = frozenset({"job"})
"""Labels that a legend may leave out: few people have several jobs."""
CHARTS = frozenset({"timeseries", "state-timeline", "piechart", "bargauge"})
LEGEND_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
OF_TABLES = re.compile(r"Time|Value(?: #[A-Z])?")
"""Columns that come from no label."""
FIELD_LABEL = re.compile(r"\$\{__field\.labels\.(\w+)[^}]*\}")
FIELD_COLUMN = re.compile(r"\$\{__data\.fields\.([^}:]+)[^}]*\}")
BOUND_WANTED = re.compile(r'(\w+_bucket)\{[^}]*\ble(=~?)"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Expression:
    """One query, its variables filled in with what is chosen when the dashboard opens."""

    panel: str
    ref: str
    text: str
    legend: str

    @property
    def where(self) -> str:
        """Words for where it stands."""
        return f"{self.panel}, {self.ref}"

    @property
    def labels(self) -> frozenset[str]:
        """Those of its result."""
        return _labels(self.text)

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it names. Raises ValueError where it is no PromQL, LostLabelError where it wants a lost label."""
        return _named(self.text)


@cache
def parsed(text: str) -> syntax.Expr:
    """Raises ValueError."""
    return syntax.parse(text)


@cache
def _named(text: str) -> tuple[Selector, ...]:
    return tuple(named(text))


@cache
def _labels(text: str) -> frozenset[str]:
    return Shape(labels_by_metric()).of(parsed(text)) or frozenset()


def expressions(document: Json, **values: str) -> Iterator[Expression]:
    """The queries of the panels and of the annotations, with the values that are chosen or given. Raises QueryError for
    a variable that does not exist."""
    values = chosen(document) | values
    for where, panel in panels(document):
        for each in panel["targets"]:
            yield Expression(where, each["refId"], filled(each["expr"], values), each["legendFormat"])
    for each in document["annotations"]["list"]:
        if "expr" in each:
            legend = f"{each['titleFormat']} {each['textFormat']}"
            yield Expression("annotation", each["name"], filled(each["expr"], values), legend)


def readable(document: Json) -> list[Expression]:
    """The same where all of it can be read, else nothing: what cannot be read is reported by one check."""
    return [] if unreadable(document) else list(expressions(document))


def chosen(document: Json) -> dict[str, str]:
    """The value of each variable when the dashboard opens: everything, or what is saved."""
    return {each["name"]: _chosen(each) for each in variables(document)}


def _chosen(variable: Json) -> str:
    if variable.get("includeAll"):
        return str(variable.get("allValue", ".*"))
    return variable["current"].get("value") or ".*"


def filled(text: str, values: Mapping[str, str]) -> str:
    """An expression with values for its variables, Grafana's own included."""
    return substitute(text, interval_seconds=15, range_seconds=3600, variables=values)


# Checks


def unreadable(document: Json) -> list[str]:
    """What is no PromQL, uses a variable that the dashboard has not, or wants a label that is gone by then."""
    found = []
    try:
        for each in expressions(document):
            try:
                _named(each.text)
            except (ValueError, LostLabelError) as problem:
                found.append(f"{each.where}: {problem}")
    except QueryError as problem:
        found.append(str(problem))
    return found


def unknown_metrics(document: Json) -> list[str]:
    """Names that nobody exposes; a counter without `_total` and a histogram without `_bucket` are among them."""
    return [
        f"{each.where}: there is no metric {selector.metric}"
        for each in readable(document)
        for selector in each.selectors
        if selector.metric not in labels_by_metric()
    ]


def unknown_labels(document: Json) -> list[str]:
    """Labels that a metric has not: in matchers, and in what is done with it."""
    return [
        f"{each.where}: {selector.metric} has no label {label}"
        for each in readable(document)
        for selector in each.selectors
        for label in sorted(selector.labels - labels_by_metric().get(selector.metric, selector.labels))
    ]


def unmatched_operands(document: Json) -> list[str]:
    """Two sides of an operator that have not the same labels: the result would be empty."""
    found = []
    for each in readable(document):
        looked = Shape(labels_by_metric())
        looked.of(parsed(each.text))
        found += [f"{each.where}: {mismatch}" for mismatch in looked.mismatches]
    return found


def foreign_legends(document: Json) -> list[str]:
    """Labels in the names of series that the series have not."""
    return [
        f"{each.where}: the legend names {label}, the result has {sorted(each.labels)}"
        for each in readable(document)
        for label in LEGEND_LABEL.findall(each.legend)
        if label not in each.labels
    ]


def ambiguous_legends(document: Json) -> list[str]:
    """Labels by which a chart's series differ, and which their names do not tell."""
    charts = {where for where, panel in panels(document) if panel["type"] in CHARTS}
    return [
        f"{each.where}: series differ by {label}, and {each.legend} does not tell"
        for each in readable(document)
        if each.panel in charts and each.legend != "__auto"
        for label in sorted(each.labels - set(LEGEND_LABEL.findall(each.legend)) - CHOSEN_ABOVE)
    ]


def foreign_columns(document: Json) -> list[str]:
    """Columns of a table that are arranged or hidden, but that no query makes."""
    made: dict[str, set[str]] = {}
    for each in readable(document):
        made.setdefault(each.panel, set()).update(each.labels)
    return [
        f"{where}: no query makes the column {name}, they make {sorted(made[where])}"
        for where, panel in panels(document)
        if where in made
        for name in sorted(_arranged(panel) - made[where])
        if not OF_TABLES.fullmatch(name)
    ]


def foreign_links(document: Json) -> list[str]:
    """Labels and columns that links of a panel put into an address, and that not all its series have."""
    found = []
    for where, panel in panels(document):
        labels = [each.labels for each in readable(document) if each.panel == where]
        columns = shown_columns(panel)
        for each in panel["fieldConfig"]["defaults"].get("links", ()):
            wanted = FIELD_LABEL.findall(each["url"])
            missing = [f"label {label}" for label in wanted if not all(label in has for has in labels)]
            missing += [f"column {name}" for name in FIELD_COLUMN.findall(each["url"]) if name not in columns]
            found += [f"{where}: the link {each['title']} wants the {name}" for name in missing]
    return found


def shown_columns(panel: Json) -> set[str]:
    """Columns of a table that have got a title."""
    options = [each["options"] for each in panel["transformations"]]
    return {title for each in options for title in each.get("renameByName", {}).values()}


def _arranged(panel: Json) -> set[str]:
    """Columns that the transformations of a panel name."""
    names: set[str] = set()
    for each in panel["transformations"]:
        options = each["options"]
        names |= {name for key in ("excludeByName", "indexByName", "renameByName") for name in options.get(key, ())}
        names |= {options[key] for key in ("columnField", "rowField", "valueField") if key in options}
    return names


def wrong_functions(document: Json) -> list[str]:
    """Counters and histograms that are read as they stand, and rates of what is no counter."""
    found = []
    for each in readable(document):
        for selector, function in selections(parsed(each.text)):
            kind = kinds().get(selector.name or "")
            if kind in (Kind.COUNTER, Kind.HISTOGRAM) and function not in OF_COUNTERS:
                found.append(f"{each.where}: {selector.name} only ever grows; it wants rate() or increase()")
            if kind in (Kind.GAUGE, Kind.INFO) and function in RATES:
                found.append(f"{each.where}: {selector.name} is a {kind}; {function}() of it means nothing")
    return found


def selections(node: syntax.Expr, function: str = "") -> Iterator[tuple[syntax.VectorSelector, str]]:
    """Every selector, with the function that its range is given to; empty where it is read as it stands."""
    match node:
        case syntax.VectorSelector():
            yield node, ""
        case syntax.MatrixSelector():
            yield node.vector_selector, function
        case syntax.Call():
            for argument in node.args:
                yield from selections(argument, node.func.name)
        case syntax.BinaryExpr():
            yield from selections(node.lhs)
            yield from selections(node.rhs)
        case syntax.AggregateExpr() | syntax.ParenExpr() | syntax.UnaryExpr() | syntax.SubqueryExpr():
            yield from selections(node.expr)


def wrong_quantiles(document: Json) -> list[str]:
    """`histogram_quantile` of what is no histogram's buckets."""
    return [
        f"{each.where}: histogram_quantile of {selector.name}, which is no bucket"
        for each in readable(document)
        for call in quantiles(parsed(each.text))
        for selector, _ in selections(call.args[1])
        if not (selector.name or "").endswith("_bucket")
    ]


def quantiles(node: syntax.Expr) -> Iterator[syntax.Call]:
    """Every `histogram_quantile`."""
    if isinstance(node, syntax.Call):
        if node.func.name == "histogram_quantile":
            yield node
        for argument in node.args:
            yield from quantiles(argument)
    elif isinstance(node, syntax.BinaryExpr):
        yield from quantiles(node.lhs)
        yield from quantiles(node.rhs)
    elif isinstance(node, syntax.AggregateExpr | syntax.ParenExpr | syntax.UnaryExpr | syntax.SubqueryExpr):
        yield from quantiles(node.expr)


def vanishing_counts(document: Json) -> list[str]:
    """Counts of what passes a comparison, where nobody says 0: when nothing passes there is no count at all."""
    return [
        f"{each.where}: {count} is empty, not 0, when nothing is counted"
        for each in readable(document)
        for count in _filtered_counts(parsed(each.text))
    ]


def _filtered_counts(node: syntax.Expr) -> Iterator[syntax.AggregateExpr]:
    """Every `count` of a comparison that is not the left side of an `or`."""
    match node:
        case syntax.AggregateExpr():
            if (
                str(node.op) == "count"
                and isinstance(node.expr, syntax.BinaryExpr)
                and str(node.expr.op) in COMPARISONS
            ):
                yield node
            else:
                yield from _filtered_counts(node.expr)
        case syntax.BinaryExpr():
            if str(node.op) != "or":
                yield from _filtered_counts(node.lhs)
            yield from _filtered_counts(node.rhs)
        case syntax.Call():
            for argument in node.args:
                yield from _filtered_counts(argument)
        case syntax.ParenExpr() | syntax.UnaryExpr() | syntax.SubqueryExpr():
            yield from _filtered_counts(node.expr)


def unknown_bounds(document: Json) -> list[str]:
    """Bounds of buckets, chosen by a variable or written down, that the histogram has not; and whole ones that are
    meant in one form only: they are `5.0` in a scrape, and can be `5` elsewhere."""
    found = []
    lists = [each for each in variables(document) if each["type"] == "custom"]
    for where, each in targets(document):
        for metric, operator, written in BOUND_WANTED.findall(each["expr"]):
            options = [o["value"] for v in lists if written == f"${v['name']}" for o in v["options"]]
            faults = (_fault_of_bound(metric, operator, bound) for bound in options or [written])
            found += [f"{where}: {fault}" for fault in faults if fault]
    return found


def _fault_of_bound(metric: str, operator: str, written: str) -> str | None:
    pattern = written if operator == "=~" else re.escape(written)
    meant = [bound for owner, bound in bounds() if owner == metric and re.fullmatch(pattern, bound)]
    if len(meant) != 1:
        return f"{metric} has {'no' if not meant else 'more than one'} bound {written}"
    if meant[0].endswith(".0") and not re.fullmatch(pattern, meant[0].removesuffix(".0")):
        return f"the bound {written} is whole"
    return None


def unknown_values(document: Json) -> list[str]:
    """Variables that ask for labels of metrics which do not exist, or for labels which a metric has not."""
    found = []
    for each in variables(document):
        if each["type"] == "query":
            found += [f"variable {each['name']}: {fault}" for fault in _faults_of_values(each, chosen(document))]
    return found


def _faults_of_values(variable: Json, values: Mapping[str, str]) -> Iterator[str]:
    query = variable["query"]["query"]
    parts = LABEL_VALUES.match(query)
    if parts is None or not parts["selector"]:
        yield f"{query} is not label_values(metric, label)"
        return
    if query != variable["definition"]:
        yield f"shows {variable['definition']}, asks {query}"
    for selector in named(filled(parts["selector"], values)):
        known = labels_by_metric().get(selector.metric)
        if known is None:
            yield f"there is no metric {selector.metric}"
            continue
        yield from (
            f"{selector.metric} has no label {label}" for label in sorted({parts["label"], *selector.labels} - known)
        )


CHECKS: tuple[Check, ...] = (
    unreadable,
    unknown_metrics,
    unknown_labels,
    unmatched_operands,
    foreign_legends,
    ambiguous_legends,
    foreign_columns,
    foreign_links,
    wrong_functions,
    wrong_quantiles,
    vanishing_counts,
    unknown_bounds,
    unknown_values,
)
