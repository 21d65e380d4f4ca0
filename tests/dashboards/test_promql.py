"""Every query of every dashboard means something: it can be read, what it names exists, and functions, operators,
legends and columns fit what they are used on."""

from __future__ import annotations

from pathlib import Path

import promql_parser as syntax
import pytest

from exporter.telemetry.catalog import Kind
from tests.dashboards import queries
from tests.dashboards.documents import Change, Check, Json, broken, dashboards, panel, panels, variable
from tests.dashboards.queries import CHECKS, expressions
from tests.dashboards.shape import Shape
from tests.dashboards.vocabulary import bounds, kinds, labels_by_metric, recorded

TTFT = "gen_ai_server_time_to_first_token_seconds"


def asks(expression: str, legend: str = "x") -> Change:
    """Give the first chart another query."""
    return lambda document: panel(document, "timeseries")["targets"][0].update(expr=expression, legendFormat=legend)


def asks_for_values(query: str) -> Change:
    """Give the variable `tier` another query."""

    def change(document: Json) -> None:
        variable(document, "tier")["definition"] = variable(document, "tier")["query"]["query"] = query

    return change


def arranges(part: str, **columns: object) -> Change:
    """Change one part of a table's arrangement."""
    return lambda document: panel(document, "table")["transformations"][1]["options"][part].update(columns)


def leads_to(url: str, kind: str) -> Change:
    """Give the first panel of a type that has a link another address."""

    def change(document: Json) -> None:
        defaults = [each["fieldConfig"]["defaults"] for _, each in panels(document) if each["type"] == kind]
        next(each for each in defaults if "links" in each)["links"][0]["url"] = url

    return change


def chooses(name: str, value: str) -> Change:
    """Offer another value in a list."""
    return lambda document: variable(document, name)["options"].append({"text": value, "value": value})


PLANTED: list[tuple[Check, Change, str]] = [
    (queries.unreadable, asks("sum(rate(llm_requests_total[5m])"), "Requests by tier, A"),
    (queries.unreadable, asks('llm_upstream_up{tier="$tire"}'), "'tire'"),
    (queries.unreadable, asks("sum by (tier) (sum by (upstream) (llm_upstream_up))"), "no 'tier' any more"),
    (queries.unreadable, asks(f"histogram_quantile(0.5, sum (rate({TTFT}_bucket[5m])))"), "no 'le' any more"),
    (queries.unreadable, lambda document: document["annotations"]["list"][1].update(expr="ALERTS{"), "Alerts"),
    (queries.unknown_metrics, asks("sum (llm_request_in_flight)"), "llm_request_in_flight"),
    (queries.unknown_metrics, asks("sum (rate(llm_requests[5m]))"), "no metric llm_requests"),
    (queries.unknown_metrics, asks(f"sum (rate({TTFT}[5m]))"), TTFT),
    (queries.unknown_metrics, asks("sum (rate(llamacpp:prompt_tokens[5m]))"), "llamacpp:prompt_tokens"),
    (queries.unknown_labels, asks('llm_upstream_up{model="a"}'), "llm_upstream_up has no label model"),
    (queries.unknown_labels, asks("sum by (origin) (rate(llm_requests_total[5m]))"), "no label origin"),
    (queries.unknown_labels, asks('ALERTS{outcome="a"}'), "ALERTS has no label outcome"),
    (
        queries.unmatched_operands,
        asks("sum by (tier) (llm_upstream_up) / sum by (upstream) (llm_upstream_up)"),
        "/ between ['tier'] and ['upstream']",
    ),
    (queries.foreign_legends, asks("sum by (tier) (llm_upstream_up)", "{{upstream}}"), "['tier']"),
    (queries.foreign_legends, asks("sum (llm_upstream_up)", "{{ tier }}"), "names tier"),
    (queries.ambiguous_legends, asks("sum by (tier, upstream) (llm_upstream_up)", "{{tier}}"), "differ by upstream"),
    (queries.foreign_columns, arranges("renameByName", colour="Colour"), "column colour"),
    (queries.foreign_columns, arranges("excludeByName", Tim=True), "column Tim"),
    (queries.foreign_links, leads_to("/d/a?var-model=${__data.fields.Modell}", "table"), "column Modell"),
    (queries.foreign_links, leads_to("/d/a?var-model=${__field.labels.model:raw}", "timeseries"), "label model"),
    (queries.wrong_functions, asks("sum (llm_requests_total)"), "llm_requests_total only ever grows"),
    (queries.wrong_functions, asks("avg_over_time(llm_requests_total[5m])"), "llm_requests_total only ever grows"),
    (queries.wrong_functions, asks(f"{TTFT}_sum / {TTFT}_count"), f"{TTFT}_sum only ever grows"),
    (queries.wrong_functions, asks("rate(llm_requests_in_flight[5m])"), "llm_requests_in_flight is a gauge"),
    (queries.wrong_functions, asks("increase(llamacpp:n_tokens_max[5m])"), "llamacpp:n_tokens_max is a gauge"),
    (
        queries.wrong_quantiles,
        asks(f"histogram_quantile(0.5, sum by (le, tier) (rate({TTFT}_sum[5m])))"),
        f"{TTFT}_sum, which is no bucket",
    ),
    (queries.vanishing_counts, asks("count(llm_upstream_up == 0) / count(llm_upstream_up)"), "== 0) is empty"),
    (queries.vanishing_counts, asks("scalar(vector(0) or (1 + count by (tier) (llm_upstream_up > 0)))"), "is empty"),
    (queries.unknown_bounds, asks(f'sum (rate({TTFT}_bucket{{le="3.5"}}[5m]))'), "no bound 3.5"),
    (queries.unknown_bounds, chooses("slo_ttft", "0.3"), "no bound 0.3"),
    (queries.unknown_bounds, chooses("slo_ttft", "2.5|5.0"), "more than one bound 2.5|5.0"),
    (queries.unknown_bounds, chooses("slo_ttft", "5.0"), "5.0 is whole"),
    (queries.unknown_bounds, chooses("slo_duration", "5"), "no bound 5"),
    (queries.unknown_values, asks_for_values("label_values(llm_tier, tier)"), "no metric llm_tier"),
    (queries.unknown_values, asks_for_values("label_values(llm_upstream_up, model)"), "no label model"),
    (queries.unknown_values, asks_for_values('label_values(llm_upstream_up{a="b"}, tier)'), "no label a"),
    (queries.unknown_values, asks_for_values("query_result(llm_upstream_up)"), "is not label_values"),
    (queries.unknown_values, lambda document: variable(document, "tier").update(definition="?"), "shows ?"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", dashboards())
def test_nothing_is_wrong_with_the_queries(name: str, check: Check) -> None:
    assert check(dashboards()[name]) == []


@pytest.mark.parametrize(
    ("check", "change", "words"), PLANTED, ids=[f"{check.__name__}: {words}" for check, _, words in PLANTED]
)
def test_planted_errors_are_found(check: Check, change: Change, words: str) -> None:
    complaints = check(broken(change))
    assert [complaint for complaint in complaints if words in complaint], complaints


def test_every_check_has_a_planted_error() -> None:
    assert {check for check, _, _ in PLANTED} == set(CHECKS)


MADE = {"what", "card"}
"""Labels that the dashboards' own queries make."""


def test_every_query_is_looked_at() -> None:
    for document in dashboards().values():
        written = sum(len(each["targets"]) for _, each in panels(document))
        assert len(list(expressions(document))) == written + 2, "its panels', alerts and restarts"
        assert all(
            each.labels <= {label for labels in labels_by_metric().values() for label in labels} | MADE
            for each in expressions(document)
        )


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("1 + 2", None),
        ("scalar(up)", None),
        ("vector(1)", set()),
        ("up", {"job", "instance"}),
        ("up * 2", {"job", "instance"}),
        ("2 - -up", {"job", "instance"}),
        ("sum(up)", set()),
        ("sum by (job, nothing) (up)", {"job"}),
        ("sum without (job) (up)", {"instance"}),
        ("topk(3, max_over_time(up[5m:1m]))", {"job", "instance"}),
        ("histogram_quantile(0.5, sum by (le, job) (rate(x_bucket[5m])))", {"job"}),
        ('label_replace(vector(0), "made", "a", "", "")', {"made"}),
        ("sum by (job) (up) or up", {"job"}),
        ("up unless on (job) down", {"job", "instance"}),
        ("up * on (job) group_left (color) paint", {"job", "instance", "color"}),
        ("paint * ignoring (color) group_right () up", {"job", "instance"}),
        ("paint * ignoring (color, instance) sum by (job) (up)", {"job"}),
    ],
)
def test_labels_of_results(expression: str, labels: set[str] | None) -> None:
    target = frozenset({"job", "instance"})
    known = {"up": target, "down": target, "paint": target | {"color"}, "x_bucket": target | {"le"}}
    shape = Shape(known)
    assert shape.of(syntax.parse(expression)) == labels
    assert shape.mismatches == []


@pytest.mark.parametrize(
    "expression", ["up + paint", "up > on (instance) sum by (job) (up)", "up - ignoring (job) paint"]
)
def test_operands_that_never_match(expression: str) -> None:
    target = frozenset({"job", "instance"})
    shape = Shape({"up": target, "paint": target | {"color"}})
    shape.of(syntax.parse(f"sum(1 - ({expression}))"))
    assert len(shape.mismatches) == 1


def test_types_and_bounds_come_from_real_expositions() -> None:
    assert kinds()["llamacpp:n_decode_total"] is Kind.COUNTER
    assert kinds()["llamacpp:n_tokens_max"] is Kind.GAUGE, "the sidecar shows it as what it is"
    assert kinds()[f"{TTFT}_bucket"] is Kind.HISTOGRAM
    assert (f"{TTFT}_bucket", "0.25") in bounds()
    assert labels_by_metric()["llamacpp:n_decode_total"] == {"job", "instance", "tier", "upstream", "model"}


def test_recorded_series_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(
        """\
groups:
  - name: a
    rules:
      - {record: "up:max", expr: "max without (kind) (tier:up:max)"}
      - {record: "tier:up:max", expr: "max by (tier) (llm_upstream_up)", labels: {kind: "x"}}
      - {alert: "LlamaDown", expr: "llm_upstream_up == 0"}
"""
    )
    assert recorded(tmp_path) == {"tier:up:max": {"tier", "kind"}, "up:max": {"tier"}}
