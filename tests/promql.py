"""What a PromQL expression names: metrics, and the labels that it takes for granted of each. The tests of the rules,
the alerts and the dashboards ask it.

    >>> named('sum by (tier) (rate(llm_requests_total{outcome="completed"}[5m]))')
    [Selector(metric='llm_requests_total', labels=frozenset({'outcome', 'tier'}))]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import promql_parser as syntax

SET_OPERATORS = frozenset({"and", "or", "unless"})
NO_LABELS = frozenset({"vector", "scalar", "time", "pi"})
"""Functions whose value has no labels, whatever they are given."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric where it stands in an expression, and the labels that the expression wants of it there: those in its
    matchers, and those of each `by`, `without`, `on`, `ignoring`, `group_left`, `label_replace` and
    `histogram_quantile` (`le`) around it that this metric would have to supply."""

    metric: str
    labels: frozenset[str]


class LostLabelError(ValueError):
    """A label is wanted where it cannot be any more, as in `sum by (a) (sum by (b) (x))`."""


def named(expression: str) -> list[Selector]:
    """Every metric of an expression in the order of their places, with the labels wanted of each.

    A label that `label_replace`, `label_join` or `count_values` makes is wanted of nobody. Of two operands each must
    have what is in `on`; what is in `ignoring` is wanted of the side with many (the left one where neither has), since
    it is there to pass over what the other lacks.

    Raises ValueError for what is no PromQL (Grafana's variables included) and for a selector without a metric name,
    LostLabelError for a label that an aggregation or a match has already dropped.
    """
    reading = _Reading()
    reading.visit(syntax.parse(expression))
    return [Selector(metric, frozenset(labels)) for metric, labels in reading.found.values()]


def nodes(tree: syntax.Expr) -> Iterator[syntax.Expr]:
    """A node and all nodes below it, as the parser made them."""
    yield tree
    for operand in _operands(tree):
        yield from nodes(operand)


@dataclass(slots=True)
class _Reading:
    """Goes through an expression: `visit` collects what stands there, `want` asks its value for a label."""

    found: dict[int, tuple[str, set[str]]] = field(default_factory=dict)
    _kept: list[syntax.Expr] = field(default_factory=list)
    """Keeps nodes alive, so that each has an `id` of its own."""
    _children: dict[int, tuple[syntax.Expr, ...]] = field(default_factory=dict)

    def visit(self, node: syntax.Expr) -> None:
        self._kept.append(node)
        if isinstance(node, syntax.VectorSelector):
            self._select(node)
        for child in self._below(node):
            self.visit(child)
        if isinstance(node, syntax.AggregateExpr) and node.modifier is not None:
            self._want_all(self._below(node), node.modifier.labels)
        elif isinstance(node, syntax.Call):
            self._call(node)
        elif isinstance(node, syntax.BinaryExpr):
            self._match(node)

    def want(self, node: syntax.Expr, label: str) -> None:
        """Note that the value of `node` must have this label."""
        if isinstance(node, syntax.VectorSelector):
            self.found[id(node)][1].add(label)
        elif isinstance(node, syntax.AggregateExpr):
            self._want_of_aggregate(node, label)
        elif isinstance(node, syntax.Call):
            self._want_of_call(node, label)
        elif isinstance(node, syntax.BinaryExpr):
            self._want_of_pair(node, label)
        else:
            self._want_all(self._below(node), [label])

    def _want_all(self, nodes: Iterable[syntax.Expr], labels: Iterable[str]) -> None:
        wanted = list(labels)
        for node in nodes:
            for label in wanted:
                self.want(node, label)

    def _below(self, node: syntax.Expr) -> tuple[syntax.Expr, ...]:
        """The operands of a node: the same objects each time, since the parser makes new ones whenever it is asked."""
        if id(node) not in self._children:
            self._children[id(node)] = _operands(node)
        return self._children[id(node)]

    # Selectors

    def _select(self, node: syntax.VectorSelector | syntax.MatrixSelector) -> None:
        assert isinstance(node, syntax.VectorSelector)
        matchers = [*node.matchers.matchers, *(one for group in node.matchers.or_matchers for one in group)]
        exact = [one.value for one in matchers if one.name == "__name__" and one.op == syntax.MatchOp.Equal]
        if node.name is None and len(exact) != 1:
            raise ValueError(f"{node} names no metric")
        labels = {one.name for one in matchers if one.name != "__name__"}
        self.found[id(node)] = (node.name or exact[0], labels)

    # Functions

    def _call(self, node: syntax.Call) -> None:
        name, operands = node.func.name, self._below(node)
        if name == "histogram_quantile":
            self.want(operands[1], "le")
        elif name == "label_replace":
            self.want(operands[0], _text(operands[3]))
        elif name == "label_join":
            self._want_all(operands[:1], map(_text, operands[3:]))

    def _want_of_call(self, node: syntax.Call, label: str) -> None:
        name, operands = node.func.name, self._below(node)
        if name in NO_LABELS:
            return
        if name in {"label_replace", "label_join"} and _text(operands[1]) == label:
            return
        self._want_all(operands, [label])

    def _want_of_aggregate(self, node: syntax.AggregateExpr, label: str) -> None:
        if str(node.op) == "count_values" and isinstance(node.param, syntax.StringLiteral) and node.param.val == label:
            return
        if str(node.op) not in {"topk", "bottomk"} and not _keeps(node.modifier, label):
            raise LostLabelError(f"there is no {label!r} any more after {node}")
        self._want_all(self._below(node), [label])

    # Operators

    def _match(self, node: syntax.BinaryExpr) -> None:
        if node.modifier is None:
            return
        one, many = self._sides(node)
        if node.modifier.matching is not None:
            on = node.modifier.matching.type == syntax.LabelModifierType.Include
            self._want_all((one, many) if on else (many,), node.modifier.matching.labels)
        self._want_all((one,), node.modifier.group_labels or [])

    def _want_of_pair(self, node: syntax.BinaryExpr, label: str) -> None:
        left, right = self._below(node)
        if str(node.op) == "or":
            self._want_all((left, right), [label])
        elif str(node.op) in SET_OPERATORS or _is_scalar(right):
            self.want(left, label)
        elif _is_scalar(left):
            self.want(right, label)
        else:
            self._want_of_match(node, label)

    def _want_of_match(self, node: syntax.BinaryExpr, label: str) -> None:
        one, many = self._sides(node)
        if node.modifier is None:
            self._want_all((one, many), [label])
        elif label in (node.modifier.group_labels or []):
            self.want(one, label)
        elif _is_grouped(node):
            self.want(many, label)
        elif _matches_by(node.modifier.matching, label):
            self._want_all((one, many), [label])
        else:
            raise LostLabelError(f"there is no {label!r} any more after {node}")

    def _sides(self, node: syntax.BinaryExpr) -> tuple[syntax.Expr, syntax.Expr]:
        """The side with one partner for each, and the side with many (the left one where none has)."""
        left, right = self._below(node)
        grouped_right = node.modifier is not None and node.modifier.card == syntax.VectorMatchCardinality.OneToMany
        return (left, right) if grouped_right else (right, left)


def _operands(node: syntax.Expr) -> tuple[syntax.Expr, ...]:
    if isinstance(node, syntax.BinaryExpr):
        return (node.lhs, node.rhs)
    if isinstance(node, syntax.Call):
        return tuple(node.args)
    if isinstance(node, syntax.MatrixSelector):
        return (node.vector_selector,)
    if isinstance(node, syntax.AggregateExpr | syntax.ParenExpr | syntax.UnaryExpr | syntax.SubqueryExpr):
        return (node.expr,)
    return ()


def _keeps(modifier: syntax.AggModifier | None, label: str) -> bool:
    if modifier is None:
        return False
    by = bool(modifier.type == syntax.AggModifierType.By)
    return (label in modifier.labels) == by


def _matches_by(matching: syntax.LabelModifier | None, label: str) -> bool:
    """Whether two operands are matched by this label, and the result so has it."""
    if matching is None:
        return True
    on = bool(matching.type == syntax.LabelModifierType.Include)
    return (label in matching.labels) == on


def _is_grouped(node: syntax.BinaryExpr) -> bool:
    cards = syntax.VectorMatchCardinality
    return node.modifier is not None and node.modifier.card in (cards.ManyToOne, cards.OneToMany)


def _is_scalar(node: syntax.Expr) -> bool:
    if isinstance(node, syntax.NumberLiteral):
        return True
    if isinstance(node, syntax.Call):
        return node.func.name in {"scalar", "time", "pi"}
    if isinstance(node, syntax.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    return isinstance(node, syntax.ParenExpr | syntax.UnaryExpr) and _is_scalar(node.expr)


def _text(node: syntax.Expr) -> str:
    if not isinstance(node, syntax.StringLiteral):
        raise ValueError(f"{node} is no string")
    return node.val
