"""Which metrics an expression names, and which labels it wants of each."""

from __future__ import annotations

import promql_parser
import pytest

from tests.promql import LostLabelError, Selector, named, nodes


def wanted(expression: str) -> dict[str, set[str]]:
    return {selector.metric: set(selector.labels) for selector in named(expression)}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("up", {"up": set()}),
        ("llamacpp:requests_deferred > 0", {"llamacpp:requests_deferred": set()}),
        ('rate(a{x="1", y!~"b.*"}[5m] offset 1d)', {"a": {"x", "y"}}),
        ('a{x="1" or y="2"}', {"a": {"x", "y"}}),
        ('{__name__="a", x="1"}', {"a": {"x"}}),
        ("sum by (x, y) (a)", {"a": {"x", "y"}}),
        ("max(a) by (x)", {"a": {"x"}}),
        ("sum without (x) (a)", {"a": {"x"}}),
        ("sum by (x) (topk(3, a))", {"a": {"x"}}),
        ("sum by (x) (-(a))", {"a": {"x"}}),
        ("histogram_quantile(0.5, sum by (le, x) (rate(a_bucket[5m])))", {"a_bucket": {"le", "x"}}),
        ("histogram_quantile(0.5, a_bucket)", {"a_bucket": {"le"}}),
        ("max by (x) (quantile_over_time(0.5, (a)[30m:1m] offset 30m))", {"a": {"x"}}),
        ('sum by (made) (label_replace(a, "made", "$1", "from", "(.*)"))', {"a": {"from"}}),
        ('sum by (made) (label_join(a, "made", "-", "x", "y"))', {"a": {"x", "y"}}),
        ('sum by (v) (count_values by (x) ("v", a))', {"a": {"x"}}),
        ('sum by (x) (count_values by (x) ("v", a))', {"a": {"x"}}),
        ("a / on (x) b", {"a": {"x"}, "b": {"x"}}),
        ("a * on (x) group_left (y) b", {"a": {"x"}, "b": {"x", "y"}}),
        ("b * on (x) group_right (y) a", {"a": {"x"}, "b": {"x", "y"}}),
        ("sum by (y, z) (a * on (x) group_left (y) b)", {"a": {"x", "z"}, "b": {"x", "y"}}),
        ("a / ignoring (x) b", {"a": {"x"}, "b": set()}),
        ("a / ignoring (x) group_right () b", {"a": set(), "b": {"x"}}),
        ("sum by (y) (a / ignoring (x) b)", {"a": {"x", "y"}, "b": {"y"}}),
        ("sum by (x) (a / b)", {"a": {"x"}, "b": {"x"}}),
        ("sum by (x) (a and on (y) b)", {"a": {"x", "y"}, "b": {"y"}}),
        ("sum by (x) (a or b)", {"a": {"x"}, "b": {"x"}}),
        ("(sum by (x) (a) or vector(0)) / on (x) b", {"a": {"x"}, "b": {"x"}}),
        ("sum by (x) (2 * a > 1)", {"a": {"x"}}),
        ("sum by (x) (a * scalar(sum(b)))", {"a": {"x"}, "b": set()}),
        ("sum by (x) (time() - a)", {"a": {"x"}}),
    ],
)
def test_names_metrics_and_labels(expression: str, labels: dict[str, set[str]]) -> None:
    assert wanted(expression) == labels


def test_nodes_are_all_there_is() -> None:
    found = [type(node).__name__ for node in nodes(promql_parser.parse("sum(rate(a[5m])) / -(b)"))]
    assert found.count("VectorSelector") == 2
    assert {"BinaryExpr", "AggregateExpr", "Call", "MatrixSelector", "UnaryExpr", "ParenExpr"} <= set(found)


def test_a_metric_is_named_once_for_each_place() -> None:
    assert named("sum(a) / sum by (x) (a)") == [Selector("a", frozenset()), Selector("a", frozenset({"x"}))]


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (x) (sum by (y) (a))",
        "sum by (x) (sum(a))",
        "sum by (x) (sum without (x) (a))",
        "sum by (x) (a / on (y) b)",
        "sum by (x) (a / ignoring (x) b)",
        "sum by (y) (a) / on (x) b",
        "count by (x) (sum(a) or sum by (y) (b))",
    ],
)
def test_a_label_that_is_gone_is_noticed(expression: str) -> None:
    with pytest.raises(LostLabelError):
        named(expression)


@pytest.mark.parametrize("expression", ["rate(", "sum(a", '{x="1"}', '{__name__=~"a.*"}', "rate(a[$__rate_interval])"])
def test_what_is_no_query_or_names_no_metric_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        named(expression)
