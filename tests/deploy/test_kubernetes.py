"""deploy/kubernetes: the containers are ours, hardened and watched, and Prometheus finds them."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from exporter.cli import main
from exporter.config import load as load_settings
from tests.deploy.files import COMPOSE, DEPLOY, ROOT, Data, load, load_all, secrets

HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture
def deployment() -> Data:
    found: Data = load_all(DEPLOY / "kubernetes" / "sidecar.yaml")[0]
    return found


@pytest.fixture
def service() -> Data:
    found: Data = load_all(DEPLOY / "kubernetes" / "sidecar.yaml")[1]
    return found


@pytest.fixture
def monitor() -> Data:
    found: Data = load(DEPLOY / "kubernetes" / "podmonitor.yaml")
    return found


def containers(deployment: Data) -> dict[str, Any]:
    return {container["name"]: container for container in deployment["spec"]["template"]["spec"]["containers"]}


def complaints(deployment: Data) -> list[str]:
    """What is missing in the pod: hardening, probes, resources, volumes."""
    pod = deployment["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    found = [] if pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] else ["pod: root"]
    for name, container in containers(deployment).items():
        ports = {port["name"] for port in container.get("ports", [])}
        probes = [value for key, value in container.items() if key.endswith("Probe")]
        asked = {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe}
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        found += [f"{name}: security"] if container.get("securityContext") != HARDENED else []
        found += [f"{name}: probes"] if "readinessProbe" not in container or asked - ports else []
        found += [f"{name}: memory"] if "memory" not in container["resources"]["limits"] else []
        found += [f"{name}: volumes"] if mounted - volumes else []
        found += [f"{name}: image"] if container["image"].endswith(":latest") or ":" not in container["image"] else []
    return found


def test_the_pod_is_hardened_and_watched(deployment: Data) -> None:
    assert complaints(deployment) == []
    assert secrets(deployment) == []


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("securityContext", {}, "security"),
        ("readinessProbe", {"httpGet": {"port": "admin"}}, "probes"),
        ("resources", {"limits": {}}, "memory"),
        ("volumeMounts", [{"name": "cache"}], "volumes"),
        ("image", "llama-exporter:latest", "image"),
    ],
)
def test_each_of_these_can_be_missed(deployment: Data, key: str, value: object, complaint: str) -> None:
    planted = copy.deepcopy(deployment)
    containers(planted)["llama-exporter"][key] = value
    assert complaints(planted) == [f"llama-exporter: {complaint}"]


def test_our_command_line_takes_the_arguments(deployment: Data, capsys: pytest.CaptureFixture[str]) -> None:
    serve, *options = containers(deployment)["llama-exporter"]["args"]
    assert serve == "serve"
    assert main(["check-config", *options]) == 0
    assert "valid" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["check-config", *(option.replace("--upstream", "--upstreams") for option in options), "--x"])


def test_history_outlives_the_pod(deployment: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = load_all(DEPLOY / "kubernetes" / "sidecar.yaml")[2]
    pod = deployment["spec"]["template"]["spec"]
    sidecar = containers(deployment)["llama-exporter"]
    (mount,) = sidecar["volumeMounts"]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == mount["name"])
    assert (claim["kind"], claim["metadata"]["name"]) == (
        "PersistentVolumeClaim",
        volume["persistentVolumeClaim"]["claimName"],
    )
    assert mount["mountPath"] == re.findall(r"^VOLUME (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]  # else the folder is root's
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}  # two pods on one file are one too many
    for variable in sidecar["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    assert load_settings().store.instance == deployment["metadata"]["name"]


def test_llama_server_is_reached_through_the_sidecar_only(deployment: Data, service: Data) -> None:
    server = containers(deployment)["llama-server"]["args"]
    sidecar = containers(deployment)["llama-exporter"]
    host, port = (server[server.index(option) + 1] for option in ("--host", "--port"))
    assert host == "127.0.0.1"
    assert sidecar["args"][-1] == f"http://{host}:{port}"
    assert "ports" not in containers(deployment)["llama-server"]
    assert [entry["targetPort"] for entry in service["spec"]["ports"]] == ["proxy"]


def test_probes_ask_what_answers(deployment: Data) -> None:
    sidecar = containers(deployment)["llama-exporter"]
    assert sidecar["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "metrics"}
    assert sidecar["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "metrics"}
    settings = load_settings()
    defaults = {"proxy": settings.proxy.listen, "metrics": settings.admin.listen[0]}
    assert {port["name"]: f"127.0.0.1:{port['containerPort']}" for port in sidecar["ports"]} == defaults
    server = containers(deployment)["llama-server"]
    assert server["readinessProbe"]["exec"]["command"][-1] == f"http://127.0.0.1:{server['args'][-3]}/health"


def test_requests_in_flight_may_finish(deployment: Data) -> None:
    pod = deployment["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > load_settings().proxy.shutdown_grace_seconds


def test_labels_find_the_pod(deployment: Data, service: Data, monitor: Data) -> None:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    assert monitor["spec"]["selector"]["matchLabels"] == labels


def test_prometheus_calls_the_job_what_alerts_call_it(deployment: Data, monitor: Data) -> None:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["spec"]["jobLabel"]] == "llama-exporter"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in containers(deployment)["llama-exporter"]["ports"]}


def test_images_are_those_of_compose(deployment: Data) -> None:
    services = load(COMPOSE)["services"]
    for container, name in (("llama-exporter", "llama-exporter"), ("llama-server", "llama-server")):
        assert containers(deployment)[container]["image"] == services[name]["image"]
