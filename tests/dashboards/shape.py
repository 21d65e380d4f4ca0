"""Which labels the result of a PromQL expression has. The checks of the dashboards' queries ask it."""

from __future__ import annotations

from collections.abc import Mapping

import promql_parser as syntax


class Shape:
    """Works out which labels the result of an expression has; `mismatches` are the operators whose sides can never
    match, because they have not the same labels."""

    def __init__(self, known: Mapping[str, frozenset[str]]) -> None:
        self._known = known
        self.mismatches: list[str] = []

    def of(self, node: syntax.Expr) -> frozenset[str] | None:
        """Labels, or None for a number."""
        match node:
            case syntax.NumberLiteral() | syntax.StringLiteral():
                return None
            case syntax.VectorSelector():
                return self._known.get(node.name or "", frozenset())
            case syntax.MatrixSelector():
                return self.of(node.vector_selector)
            case syntax.AggregateExpr():
                return self._of_aggregate(node)
            case syntax.Call():
                return self._of_call(node)
            case syntax.BinaryExpr():
                return self._of_pair(node)
            case syntax.ParenExpr() | syntax.UnaryExpr() | syntax.SubqueryExpr():
                return self.of(node.expr)
        raise ValueError(f"{node}: nobody has said what labels a {type(node).__name__} has")

    def _of_aggregate(self, node: syntax.AggregateExpr) -> frozenset[str]:
        inside = self.of(node.expr) or frozenset()
        if str(node.op) in {"topk", "bottomk"}:
            return inside
        if node.modifier is None:
            return frozenset()
        if node.modifier.type == syntax.AggModifierType.By:
            return inside & set(node.modifier.labels)
        return inside - set(node.modifier.labels)

    def _of_call(self, node: syntax.Call) -> frozenset[str] | None:
        inside = [self.of(each) for each in node.args]
        match node.func.name:
            case "scalar" | "time" | "pi":
                return None
            case "vector":
                return frozenset()
            case "histogram_quantile":
                return (inside[1] or frozenset()) - {"le"}
            case "label_replace" | "label_join":
                assert isinstance(node.args[1], syntax.StringLiteral)
                return (inside[0] or frozenset()) | {node.args[1].val}
        return inside[0]

    def _of_pair(self, node: syntax.BinaryExpr) -> frozenset[str] | None:
        left, right = self.of(node.lhs), self.of(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        if str(node.op) == "or":
            return left & right
        if str(node.op) in {"and", "unless"}:
            return left
        matched = self._matched(node, left), self._matched(node, right)
        if matched[0] != matched[1]:
            self.mismatches.append(f"{node.op} between {sorted(left)} and {sorted(right)} never matches")
        if node.modifier is not None and node.modifier.card != syntax.VectorMatchCardinality.OneToOne:
            to_left = node.modifier.card == syntax.VectorMatchCardinality.ManyToOne
            return (left if to_left else right) | set(node.modifier.group_labels or ())
        return matched[0]

    def _matched(self, node: syntax.BinaryExpr, side: frozenset[str]) -> frozenset[str]:
        if node.modifier is None or node.modifier.matching is None:
            return side
        named_here = set(node.modifier.matching.labels)
        included = node.modifier.matching.type == syntax.LabelModifierType.Include
        return side & named_here if included else side - named_here
