"""Who asks whom in the stack: addresses by where they stand. `test_wiring` compares them with the services."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tests.deploy.files import Data, default, load

Addresses = list[tuple[str, str]]
"""The place that names an address, and `host:port`."""


def addresses(root: Path) -> Addresses:
    """All of them."""
    return [
        *of_sidecar(load(root / "docker-compose.yml")),
        *of_prometheus(load(root / "prometheus" / "prometheus.yml")),
        *of_collector(load(root / "deploy" / "otel-collector" / "config.yaml")),
        *of_tempo(load(root / "deploy" / "tempo" / "tempo.yaml")),
        *of_grafana(load(root / "dashboards" / "provisioning" / "datasources" / "llama-exporter.yml")),
    ]


def of_sidecar(compose: Data) -> Addresses:
    """Where it sends OTLP when nobody says otherwise; nowhere, where nothing names a receiver."""
    given = compose["services"]["llama-exporter"]["environment"].get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""
    return [("sidecar", urlsplit(default(given)).netloc)] if default(given) else []


def of_prometheus(config: Data) -> Addresses:
    """Scrape targets, by job, and Alertmanagers."""
    groups = [(f"job {job['job_name']}", job) for job in config["scrape_configs"]]
    groups += [("alerting", manager) for manager in config["alerting"]["alertmanagers"]]
    return [
        (place, target) for place, config in groups for group in config["static_configs"] for target in group["targets"]
    ]


def of_collector(config: Data) -> Addresses:
    """Where each exporter sends."""
    return [
        (f"exporter {name}", options["endpoint"].removeprefix("http://").partition("/")[0])
        for name, options in config["exporters"].items()
    ]


def of_tempo(config: Data) -> Addresses:
    """Where it writes the metrics that it makes."""
    return [
        ("tempo", urlsplit(write["url"]).netloc) for write in config["metrics_generator"]["storage"]["remote_write"]
    ]


def of_grafana(config: Data) -> Addresses:
    """Its data sources."""
    return [(f"data source {source['uid']}", urlsplit(source["url"]).netloc) for source in config["datasources"]]


def unanswered(addresses: Addresses, listening: dict[str, set[int]]) -> list[str]:
    """Places whose address nobody listens at."""
    return [place for place, address in addresses if not _answers(address, listening)]


def _answers(address: str, listening: dict[str, set[int]]) -> bool:
    host, _, port = address.rpartition(":")
    return int(port) in listening.get(host, set())


def undefined_components(collector: Data) -> list[str]:
    """Parts of the collector's pipelines that it does not have, and parts that no pipeline has."""
    found = []
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in collector["service"]["pipelines"].values() for name in pipeline[kind]}
        found += [f"{kind}: {name}" for name in used ^ set(collector[kind])]
    return sorted(found)


def unknown_sources(config: Data) -> list[str]:
    """References from one data source to another that is not there."""
    uids = {source["uid"] for source in config["datasources"]}
    found = []
    for source in config["datasources"]:
        options = source["jsonData"]
        named = [link["datasourceUid"] for link in options.get("exemplarTraceIdDestinations", [])]
        named += [options[key]["datasourceUid"] for key in ("tracesToMetrics", "serviceMap") if key in options]
        found += [f"{source['uid']}: {uid}" for uid in named if uid not in uids]
    return found
