"""Which metrics there are, by the names and with the labels that a query uses."""

from __future__ import annotations

from tests.known_metrics import known_metrics


def test_names_are_those_of_samples() -> None:
    known = known_metrics()
    assert known["llm_requests_total"] >= {"job", "instance", "tier", "upstream", "outcome", "stream"}
    assert "le" in known["gen_ai_server_time_to_first_token_seconds_bucket"]
    assert "le" not in known["gen_ai_server_time_to_first_token_seconds_count"]
    assert known["llm_sidecar_build_info"] == {"job", "instance", "version", "python_version"}
    assert known["llamacpp:requests_deferred"] == {"job", "instance", "upstream", "tier", "model"}
    assert known["up"] == {"job", "instance"}


def test_what_there_is_not_is_not_known() -> None:
    wrong = {"llm_requests", "gen_ai_server_time_to_first_token_seconds", "llm_sidecar_build", "llamacpp:no_such_thing"}
    assert wrong.isdisjoint(known_metrics())
