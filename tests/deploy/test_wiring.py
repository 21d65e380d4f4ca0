"""The parts of the stack find each other: each address is that of a service, each reference has something behind it."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exporter.settings import otel_variables
from exporter.settings.otel import HTTP_PROTOBUF, OTLP
from exporter.telemetry.instruments import Exemplar
from tests.deploy import compose as services
from tests.deploy import wiring
from tests.deploy.files import COMPOSE, DEPLOY, PROMETHEUS, PROVISIONING, ROOT, Data, default, load, secrets
from tests.programs import program

SOURCES = PROVISIONING / "datasources" / "llama-exporter.yml"
PROVIDERS = PROVISIONING / "dashboards" / "llama-exporter.yml"
COLLECTOR = DEPLOY / "otel-collector" / "config.yaml"
TEMPO = DEPLOY / "tempo" / "tempo.yaml"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def compose() -> Data:
    data: Data = load(COMPOSE)
    return data


def test_every_address_is_that_of_a_service(compose: Data) -> None:
    addresses = wiring.addresses(ROOT)
    assert wiring.unanswered(addresses, services.listening(compose, DEPLOY)) == []
    assert ("job llama-exporter", "llama-exporter:9464") in addresses
    named = {place for place, _ in addresses}
    assert {"sidecar", "alerting", "tempo", "data source tempo", "exporter otlp_grpc/tempo"} < named


@pytest.mark.parametrize("address", ["llama_exporter:9464", "llama-exporter:9090", "otel-collector:8888", "nobody:1"])
def test_an_address_at_which_nobody_listens_is_found(compose: Data, address: str) -> None:
    assert wiring.unanswered([("place", address)], services.listening(compose, DEPLOY)) == ["place"]


def test_a_port_that_moved_is_found(compose: Data) -> None:
    planted = copy.deepcopy(compose)
    planted["services"]["alertmanager"]["ports"] = ["127.0.0.1:9093:9094"]
    missed = wiring.unanswered(wiring.addresses(ROOT), services.listening(planted, DEPLOY))
    assert missed == ["alerting", "data source alertmanager"]


@pytest.mark.parametrize("endpoint", ["http://otel-collector:4319", "http://otel_collector:4318", "http://tempo:4318"])
def test_a_receiver_that_is_not_there_is_found(compose: Data, endpoint: str) -> None:
    compose["services"]["llama-exporter"]["environment"][ENDPOINT] = f"${{{ENDPOINT}:-{endpoint}}}"
    assert wiring.unanswered(wiring.of_sidecar(compose), services.listening(compose, DEPLOY)) == ["sidecar"]
    compose["services"]["llama-exporter"]["environment"][ENDPOINT] = None
    assert wiring.of_sidecar(compose) == []


def test_the_sidecar_sends_its_traces_where_their_protocol_is_spoken(compose: Data) -> None:
    settings, warnings = otel_variables.read(given(compose))
    assert settings.traces.exporters == {OTLP}
    assert (settings.traces.protocol, warnings) == (HTTP_PROTOBUF, [])
    spoken = load(COLLECTOR)["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert wiring.of_sidecar(compose) == [("sidecar", f"otel-collector:{spoken.rpartition(':')[2]}")]


def test_prometheus_has_no_series_twice(compose: Data) -> None:
    """It scrapes the sidecar, which does not push its metrics unless somebody says so."""
    (job,) = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert job["static_configs"][0]["targets"] == ["llama-exporter:9464"]
    assert otel_variables.read(given(compose))[0].metrics.exporters == set()
    assert otel_variables.read(given(compose) | {"OTEL_METRICS_EXPORTER": "otlp"})[0].metrics.exporters == {OTLP}


def given(compose: Data) -> dict[str, str]:
    """The environment of the sidecar where no variable is set."""
    environment = compose["services"]["llama-exporter"]["environment"]
    return {name: default(str(value)) for name, value in environment.items() if value is not None}


def test_what_is_sent_can_be_said_in_the_environment(compose: Data) -> None:
    environment = compose["services"]["llama-exporter"]["environment"]
    told = {name: value for name, value in environment.items() if name.startswith("OTEL_")}
    assert len(told) > 5
    assert [name for name, value in told.items() if value is not None and f"${{{name}:-" not in value] == []


def test_what_the_collector_publishes_is_what_it_listens_on(compose: Data) -> None:
    published = {int(port.rsplit(":", 1)[1]) for port in compose["services"]["otel-collector"]["ports"]}
    assert published == set(services.otlp_ports(load(COLLECTOR)["receivers"])) == {4317, 4318}


def test_the_pipelines_have_their_parts_and_no_other() -> None:
    collector = load(COLLECTOR)
    assert wiring.undefined_components(collector) == []
    assert set(collector["service"]["pipelines"]) == {"metrics", "traces"}
    planted = copy.deepcopy(collector)
    planted["service"]["pipelines"]["traces"]["exporters"] = ["otlp/tempo"]
    assert wiring.undefined_components(planted) == ["exporters: otlp/tempo", "exporters: otlp_grpc/tempo"]


def test_the_collector_refuses_before_its_container_is_full(compose: Data) -> None:
    collector = load(COLLECTOR)
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in collector["service"]["pipelines"].values())
    service = compose["services"]["otel-collector"]
    collected = int(service["environment"]["GOMEMLIMIT"].removesuffix("MiB"))
    assert (
        collected < collector["processors"]["memory_limiter"]["limit_mib"] < int(service["mem_limit"].removesuffix("m"))
    )


def test_prometheus_takes_what_the_others_send(compose: Data) -> None:
    command = compose["services"]["prometheus"]["command"]
    assert load(COLLECTOR)["exporters"]["otlp_http/prometheus"]["endpoint"].endswith("/api/v1/otlp")
    assert "--web.enable-otlp-receiver" in command
    assert load(TEMPO)["metrics_generator"]["storage"]["remote_write"][0]["url"].endswith("/api/v1/write")
    assert "--web.enable-remote-write-receiver" in command
    assert "--enable-feature=exemplar-storage" in command


def test_each_program_keeps_its_data_in_its_volume(compose: Data) -> None:
    tempo = load(TEMPO)
    paths = {
        "prometheus": ["/prometheus"],
        "alertmanager": ["/alertmanager"],
        "tempo": [
            tempo["storage"]["trace"]["local"]["path"],
            tempo["storage"]["trace"]["wal"]["path"],
            tempo["metrics_generator"]["storage"]["path"],
        ],
    }
    for name, kept in paths.items():
        volumes = [
            volume.split(":")[1] for volume in compose["services"][name]["volumes"] if not volume.startswith(".")
        ]
        assert all(any(f"{path}/".startswith(f"{volume}/") for volume in volumes) for path in kept), name
    assert "--storage.tsdb.path=/prometheus" in compose["services"]["prometheus"]["command"]
    assert "--storage.path=/alertmanager" in compose["services"]["alertmanager"]["command"]


def test_data_sources_refer_to_each_other() -> None:
    config = load(SOURCES)
    assert wiring.unknown_sources(config) == []
    assert [source["uid"] for source in config["datasources"]] == ["prometheus", "tempo", "alertmanager"]
    assert [source["uid"] for source in config["datasources"] if source.get("isDefault")] == ["prometheus"]
    assert secrets(config) == []
    planted = copy.deepcopy(config)
    planted["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"] = "jaeger"
    assert wiring.unknown_sources(planted) == ["prometheus: jaeger"]


def test_exemplars_are_found_by_the_name_that_we_give_them() -> None:
    (link,) = load(SOURCES)["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"]
    assert link["name"] in Exemplar("a", "b", 1.0, 2.0).labels


def test_grafana_knows_how_often_is_scraped() -> None:
    interval = load(PROMETHEUS / "prometheus.yml")["global"]["scrape_interval"]
    assert load(SOURCES)["datasources"][0]["jsonData"]["timeInterval"] == interval


def test_dashboards_are_mounted_where_grafana_looks_for_them(compose: Data) -> None:
    (provider,) = load(PROVIDERS)["providers"]
    volumes = compose["services"]["grafana"]["volumes"]
    assert f"./dashboards:{provider['options']['path']}:ro" in volumes
    assert "./dashboards/provisioning:/etc/grafana/provisioning:ro" in volumes
    assert list((ROOT / "dashboards").glob("llama-exporter-*.json"))
    assert (provider["disableDeletion"], provider["allowUiUpdates"]) == (True, False)


@pytest.fixture
def mounted(tmp_path: Path, compose: Data) -> Path:
    """Where the configuration of Prometheus lies in its container, below a temporary root."""
    source, target = str(compose["services"]["prometheus"]["volumes"][0]).split(":")[:2]
    shutil.copytree(ROOT / source, tmp_path / target.lstrip("/"))
    config: str = next(
        word for word in compose["services"]["prometheus"]["command"] if word.startswith("--config.file=")
    )
    return tmp_path / config.removeprefix("--config.file=").lstrip("/")


def check_prometheus(config: Path) -> Any:
    command = [program("promtool"), "check", "config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_prometheus_takes_its_configuration_as_mounted(mounted: Path) -> None:
    done = check_prometheus(mounted)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = [*PROMETHEUS.glob("rules/*.yml"), *PROMETHEUS.glob("alerts/*.yml")]
    assert rules
    assert all(f"{mounted.parent}/{path.parent.name}/{path.name}" in done.stdout for path in rules)


def test_a_configuration_with_a_slip_is_refused(mounted: Path) -> None:
    mounted.write_text(
        mounted.read_text(encoding="utf-8").replace("scrape_configs:", "scrape_config:"), encoding="utf-8"
    )
    assert check_prometheus(mounted).returncode != 0
