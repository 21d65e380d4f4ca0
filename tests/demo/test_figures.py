from __future__ import annotations

from exporter.demo.figures import NAMES, Decisions, Figures, OutcomeCount, Quantiles, TierFigures, figures
from exporter.demo.scrape import Scrape, parse

R = 'gen_ai_operation_name="chat",gen_ai_provider_name="llama_cpp",gen_ai_request_model="tiny",tier="Q4",upstream="a"'


def exposition(requests: int, gone: int, tokens_in: int, tokens_out: int, cached: int, first: int) -> str:
    """As the sidecar would answer, by the names of the metric catalogue."""
    return f"""\
# HELP llm_requests_total Finished requests.
# TYPE llm_requests_total counter
llm_requests_total{{{R},stream="true",outcome="completed",http_response_status_code="200"}} {requests - 2}
llm_requests_total{{{R},stream="false",outcome="completed",http_response_status_code="200"}} 2.0
llm_requests_total{{{R},stream="true",outcome="client_gone",http_response_status_code="200"}} {gone}
# TYPE llm_requests_in_flight gauge
llm_requests_in_flight{{tier="Q4",upstream="a"}} 2.0
llm_requests_in_flight{{tier="Q2",upstream="b"}} 1.0
# TYPE gen_ai_client_token_usage histogram
gen_ai_client_token_usage_bucket{{{R},gen_ai_token_type="input",le="+Inf"}} 9.0
gen_ai_client_token_usage_sum{{{R},gen_ai_token_type="input"}} {tokens_in}
gen_ai_client_token_usage_sum{{{R},gen_ai_token_type="output"}} {tokens_out}
# TYPE llm_prompt_cached_tokens_total counter
llm_prompt_cached_tokens_total{{{R}}} {cached}
# TYPE gen_ai_server_time_to_first_token_seconds histogram
gen_ai_server_time_to_first_token_seconds_bucket{{{R},le="0.1"}} {first}
gen_ai_server_time_to_first_token_seconds_bucket{{{R},le="0.25"}} {first}
gen_ai_server_time_to_first_token_seconds_bucket{{{R},le="+Inf"}} {first}
# TYPE llm_inter_token_latency_seconds histogram
llm_inter_token_latency_seconds_bucket{{{R},le="0.001"}} 0.0
llm_inter_token_latency_seconds_bucket{{{R},le="0.002"}} {first}
llm_inter_token_latency_seconds_bucket{{{R},le="+Inf"}} {first}
# TYPE gen_ai_server_request_duration_seconds histogram
gen_ai_server_request_duration_seconds_bucket{{{R},error_type="",le="1.28"}} {first}
gen_ai_server_request_duration_seconds_bucket{{{R},error_type="",le="+Inf"}} {first}
# TYPE llm_upstream_up gauge
llm_upstream_up{{upstream="b",tier="Q2"}} 0.0
llm_upstream_up{{upstream="a",tier="Q4"}} 1.0
# TYPE llm_upstream_attempts counter
llm_upstream_attempts_total{{upstream="a",result="answered"}} {requests}
llm_upstream_attempts_total{{upstream="a",result="resent"}} 3.0
llm_upstream_attempts_total{{upstream="a",result="abandoned"}} {gone}
llm_upstream_attempts_total{{upstream="b",result="connect_error"}} 2.0
llm_upstream_attempts_total{{upstream="b",result="unavailable"}} 1.0
# TYPE llm_routing_decisions counter
llm_routing_decisions_total{{complexity="SIMPLE",tier="Q2",fallback="false"}} {requests}
llm_routing_decisions_total{{complexity="SIMPLE",tier="Q4",fallback="true"}} 2.0
llm_routing_decisions_total{{complexity="COMPLEX",tier="Q4",fallback="false"}} 5.0
llm_routing_decisions_total{{complexity="COMPLEX",tier="Q4",fallback="true"}} 1.0
# TYPE system_cpu_utilization_ratio gauge
system_cpu_utilization_ratio 0.375
# TYPE system_memory_limit_bytes gauge
system_memory_limit_bytes 8.589934592e+09
# TYPE system_memory_linux_available_bytes gauge
system_memory_linux_available_bytes 6.442450944e+09
"""


def window() -> tuple[Scrape, Scrape]:
    old = parse(exposition(10, 1, tokens_in=1000, tokens_out=500, cached=100, first=4), at=100.0, names=NAMES)
    new = parse(exposition(40, 7, tokens_in=4000, tokens_out=1500, cached=1600, first=24), at=110.0, names=NAMES)
    return old, new


def test_figures_of_a_window() -> None:
    assert figures(*window()) == Figures(
        requests=47,
        requests_per_second=3.6,
        in_flight=3,
        input_tokens_per_second=300,
        output_tokens_per_second=100,
        cached_ratio=0.5,
        ttft=Quantiles(p50=0.05, p95=0.095),
        inter_token=Quantiles(p50=0.0015, p95=0.00195),
        duration=Quantiles(p50=0.64, p95=1.216),
        outcomes=(OutcomeCount("completed", 40, 3.0), OutcomeCount("client_gone", 7, 0.6)),
        tiers=(
            TierFigures(
                tier="Q2",
                up=False,
                requests=None,
                requests_per_second=0,
                in_flight=1,
                output_tokens_per_second=0,
                ttft_p50=None,
                failed_attempts=3,
            ),
            TierFigures(
                tier="Q4",
                up=True,
                requests=47,
                requests_per_second=3.6,
                in_flight=2,
                output_tokens_per_second=100,
                ttft_p50=0.05,
                failed_attempts=0,
            ),
        ),
        decisions=Decisions(
            {("SIMPLE", "Q2"): 40, ("SIMPLE", "Q4"): 2, ("COMPLEX", "Q4"): 6}, {"SIMPLE": 2, "COMPLEX": 1}
        ),
        cpu_ratio=0.375,
        memory_used_bytes=2 * 2**30,
        memory_total_bytes=8 * 2**30,
    )


def test_a_single_scrape_has_totals_but_no_rates() -> None:
    _, new = window()
    now = figures(new, new)
    assert (now.requests, now.in_flight, now.cpu_ratio) == (47, 3, 0.375)
    assert (now.requests_per_second, now.output_tokens_per_second, now.cached_ratio) == (None, None, None)
    assert now.ttft == Quantiles(None, None)
    assert now.outcomes[0] == OutcomeCount("completed", 40, None)


def test_before_any_traffic_nothing_is_known() -> None:
    nothing = Scrape(at=1.0, samples={})
    now = figures(nothing, Scrape(at=2.0, samples={}))
    assert now == Figures(
        requests=None,
        requests_per_second=None,
        in_flight=None,
        input_tokens_per_second=None,
        output_tokens_per_second=None,
        cached_ratio=None,
        ttft=Quantiles(None, None),
        inter_token=Quantiles(None, None),
        duration=Quantiles(None, None),
        outcomes=(),
        tiers=(),
        decisions=Decisions({}, {}),
        cpu_ratio=None,
        memory_used_bytes=None,
        memory_total_bytes=None,
    )
