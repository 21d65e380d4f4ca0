import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.system.snapshot import LlamaServerSnapshot, MirroredSample, ModelSnapshot, ModelState
from exporter.telemetry.catalog import Kind
from exporter.telemetry.lines import END, Form, pieces
from exporter.telemetry.mirror import mirrored_families
from exporter.telemetry.sampled import Sampled
from tests.telemetry.examples import ROUTER, SINGLE


def sample(name: str, value: float = 1.0, kind: str = "counter", **labels: str) -> MirroredSample:
    return MirroredSample(name, kind, "Help.", tuple(labels.items()), value)


def server(*samples: MirroredSample, upstream: str = "gpu-0", model: str = "tiny") -> LlamaServerSnapshot:
    models = (ModelSnapshot(model, ModelState.LOADED, mirrored=samples, tier="Q4"),)
    return replace(SINGLE, upstream=upstream, models=models)


def shown(*servers: LlamaServerSnapshot) -> dict[str, tuple[Kind, list[tuple[dict[str, str], float]]]]:
    """Kind, and labels and values of the samples, by sample name."""
    return {
        family.metric.sample_name: (family.metric.kind, list(named(family))) for family in mirrored_families(servers)
    }


def named(family: Sampled) -> Iterable[tuple[dict[str, str], float]]:
    return ((dict(zip(family.metric.labels, labels, strict=True)), value) for labels, value in family.samples())


def test_samples_say_where_they_are_from() -> None:
    kind, samples = shown(server(sample("llamacpp:prompt_tokens_total", 88)))["llamacpp:prompt_tokens_total"]
    assert kind is Kind.COUNTER
    assert samples == [({"upstream": "gpu-0", "tier": "Q4", "model": "tiny"}, 88)]


def test_samples_of_several_upstreams_and_models_make_one_family() -> None:
    families = shown(SINGLE, ROUTER)
    _, samples = families["llamacpp:prompt_tokens_total"]
    assert [(labels["upstream"], labels["tier"], labels["model"], value) for labels, value in samples] == [
        ("gpu-0", "Q4", "tiny", 88.0),
        ("cpu", "Q8", "a", 7.0),
    ]


def test_each_model_of_a_router_has_its_own_tier() -> None:
    models = tuple(replace(each, mirrored=(sample("llamacpp:a", 1, "gauge"),)) for each in ROUTER.models)
    _, samples = shown(replace(ROUTER, models=models))["llamacpp:a"]
    assert [(labels["model"], labels["tier"]) for labels, _ in samples] == [("a", "Q8"), ("b", "Q2"), ("c", "Q8")]


def test_a_counter_whose_name_is_no_counters_is_a_gauge() -> None:
    assert shown(SINGLE)["llamacpp:n_tokens_max"][0] is Kind.GAUGE


@pytest.mark.parametrize(
    "name", ["llama_requests", "other:x", "llamacpp:", "llamacpp:a b", "llamacpp:ü", "llamacpp:a\n", "xllamacpp:a"]
)
def test_other_names_are_left_out(name: str) -> None:
    assert shown(server(sample(name))) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_counter_that_cannot_be_one_is_left_out(value: float) -> None:
    text = "".join(
        piece
        for family in mirrored_families([server(sample("llamacpp:a_total", value))])
        for piece in pieces(family, Form(openmetrics=True))
    )
    assert text == ""


@pytest.mark.parametrize("value", [math.inf, -math.inf, -1.0])
def test_a_gauge_may_have_any_value(value: float) -> None:
    assert shown(server(sample("llamacpp:a", value, "gauge")))["llamacpp:a"][1][0][1] == value


@pytest.mark.parametrize("kind", ["untyped", "unknown", "histogram", "nonsense"])
def test_other_types_are_shown_as_gauges(kind: str) -> None:
    assert shown(server(sample("llamacpp:a_total", 1, kind)))["llamacpp:a_total"][0] is Kind.GAUGE


def test_their_labels_are_kept_but_ours_win() -> None:
    samples = (sample("llamacpp:a", 1, "gauge", slot="0", model="theirs"), sample("llamacpp:a", 2, "gauge"))
    _, found = shown(server(*samples))["llamacpp:a"]
    ours = {"upstream": "gpu-0", "tier": "Q4", "model": "tiny"}
    assert found == [({**ours, "slot": "0"}, 1), ({**ours, "slot": ""}, 2)]


def test_labels_that_are_not_allowed_are_left_out() -> None:
    odd = MirroredSample("llamacpp:a", "gauge", "Help.", (("a b", "1"), ("__x", "2"), ("", "3"), ("ok", "4")), 1)
    _, ((labels, _),) = shown(server(odd))["llamacpp:a"]
    assert set(labels) == {"upstream", "tier", "model", "ok"}


def test_the_first_of_equal_samples_counts() -> None:
    twice = server(sample("llamacpp:a", 1, "gauge"), sample("llamacpp:a", 2, "gauge"))
    assert [value for _, value in shown(twice)["llamacpp:a"][1]] == [1]


def test_the_first_type_of_a_name_counts() -> None:
    families = shown(
        server(sample("llamacpp:a_total", 1, "counter")),
        server(sample("llamacpp:a_total", 2, "gauge"), upstream="cpu"),
    )
    kind, samples = families["llamacpp:a_total"]
    assert kind is Kind.COUNTER
    assert [value for _, value in samples] == [1, 2]


def test_families_that_would_collide_in_openmetrics_are_left_out() -> None:
    assert set(
        shown(
            server(
                sample("llamacpp:a_total"), sample("llamacpp:a", 1, "gauge"), sample("llamacpp:a_created", 1, "gauge")
            )
        )
    ) == {"llamacpp:a_total"}


def test_a_missing_or_unsafe_help_is_mended() -> None:
    helps = [
        family.metric.help
        for text in ("", "two\nlines")
        for family in mirrored_families([server(MirroredSample("llamacpp:a", "gauge", text, (), 1))])
    ]
    assert helps == ["Mirrored from llama-server.", "two\ufffdlines"]


names = st.from_regex(r"llamacpp:[ab_]{1,3}(_total|_created|_sum|_count|_bucket|_info)?", fullmatch=True)
odd_samples = st.builds(
    MirroredSample,
    name=st.one_of(names, st.text(max_size=8)),
    type=st.sampled_from(["counter", "gauge", "untyped", ""]),
    help=st.text(st.characters(), max_size=10),
    labels=st.lists(
        st.tuples(
            st.one_of(st.sampled_from(["a", "b", "model"]), st.text(max_size=3)), st.text(st.characters(), max_size=5)
        ),
        max_size=3,
    ).map(tuple),
    value=st.floats(),
)


@settings(deadline=None)
@given(st.lists(odd_samples, max_size=8), st.lists(odd_samples, max_size=3))
def test_whatever_comes_the_exposition_can_be_read(first: list[MirroredSample], second: list[MirroredSample]) -> None:
    servers = [server(*first), server(*second, upstream="cpu", model='a"b\\\n')]
    for form in (Form(openmetrics=False), Form(openmetrics=True)):
        text = "".join(piece for family in mirrored_families(servers) for piece in pieces(family, form))
        assert "\ud800" not in text
        read = parse_openmetrics(text + END) if form.openmetrics else parse_text(text)  # type: ignore[no-untyped-call]
        for family in read:
            labels = [(each.name, *sorted(each.labels.items())) for each in family.samples]
            assert len(labels) == len(set(labels))
