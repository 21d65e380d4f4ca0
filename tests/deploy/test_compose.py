"""docker-compose.yml: docker-compose takes it, it is hardened, and each way to start it has what it needs."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from exporter.config import load as load_settings
from tests.deploy import compose as checks
from tests.deploy.files import COMPOSE, DEPLOY, ROOT, Data, default, environment, load, project, secrets
from tests.programs import program

ENV_FILES = sorted((DEPLOY / "compose").glob("*.env"))
PROFILES = ("cpu", "gpu", "fleet")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def compose() -> Data:
    data: Data = load(COMPOSE)
    return data


def validate(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What docker-compose says of a file, in an environment without variables of its own or ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "LLAMA_EXPORTER_"))}
    command = [program("docker-compose"), "-f", str(file), *options, "config", "-q"]
    return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "options",
    [
        [],
        [word for name in PROFILES for word in ("--profile", name)],
        *(["--env-file", str(file)] for file in ENV_FILES),
    ],
    ids=["plain", "all-profiles", *(file.name for file in ENV_FILES)],
)
def test_docker_compose_takes_the_file(options: list[str]) -> None:
    done = validate(COMPOSE, *options)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_docker_compose_refuses_a_slip(tmp_path: Path) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    (tmp_path / "docker-compose.yml").write_text(text.replace("    depends_on:", "    depend_on:", 1), encoding="utf-8")
    assert validate(tmp_path / "docker-compose.yml").returncode != 0


def test_the_file_is_for_both_generations_of_compose(compose: Data) -> None:
    assert "name" not in compose
    assert "version" not in compose
    assert ":?" not in COMPOSE.read_text(encoding="utf-8")  # would be asked of everybody, whatever the profile


def test_its_services_are_pinned_hardened_and_watched(compose: Data) -> None:
    assert checks.unpinned(compose) == []
    assert checks.unhardened(compose) == []
    assert checks.rootful(compose, DOCKERFILE) == []
    assert checks.published(compose) == []
    assert checks.unwatched(compose) == []
    assert secrets(compose) == []
    assert checks.missing_mounts(compose, ROOT) == []
    assert checks.unmounted(compose) == []
    assert checks.broken_dependencies(compose) == []


@pytest.mark.parametrize(
    ("service", "key", "value", "complaints"),
    [
        ("grafana", "image", "grafana/grafana:latest", checks.unpinned),
        ("grafana", "image", "grafana/grafana", checks.unpinned),
        ("tempo", "read_only", False, checks.unhardened),
        ("tempo", "cap_drop", [], checks.unhardened),
        ("grafana", "user", "0", lambda data: checks.rootful(data, DOCKERFILE)),
        ("grafana", "user", "root", lambda data: checks.rootful(data, DOCKERFILE)),
        ("llama-exporter", "command", [], lambda data: checks.rootful(data, "FROM x")),
        ("grafana", "ports", ["3000:3000"], checks.published),
        ("grafana", "ports", ["0.0.0.0:3000:3000"], checks.published),
        ("grafana", "healthcheck", None, checks.unwatched),
        ("postgres", "environment", {"POSTGRES_PASSWORD": "hunter2"}, secrets),
        (
            "grafana",
            "volumes",
            ["./dashbords:/etc/grafana/dashboards:ro"],
            lambda data: checks.missing_mounts(data, ROOT),
        ),
        (
            "grafana",
            "volumes",
            ["./dashboards:/etc/grafana/dashboards"],
            lambda data: checks.missing_mounts(data, ROOT),
        ),
        ("grafana", "volumes", ["grafana:/var/lib/grafana"], lambda data: checks.missing_mounts(data, ROOT)),
        ("prometheus", "volumes", ["./prometheus:/etc/prom:ro"], checks.unmounted),
        ("llama-q2", "volumes", [], checks.unmounted),
        ("grafana", "depends_on", {"tempo": {"condition": "service_healthy"}}, checks.broken_dependencies),
        ("grafana", "depends_on", {"postgres": {"condition": "service_healthy"}}, checks.broken_dependencies),
        ("grafana", "depends_on", {"loki": {"condition": "service_started"}}, checks.broken_dependencies),
    ],
)
def test_each_of_these_checks_can_fail(
    compose: Data, service: str, key: str, value: object, complaints: Callable[[Data], list[str]]
) -> None:
    planted = copy.deepcopy(compose)
    planted["services"][service][key] = value
    if value is None:
        del planted["services"][service][key]
    assert any(service in complaint for complaint in complaints(planted))


def test_the_image_is_named_after_the_version(compose: Data) -> None:
    assert compose["services"]["llama-exporter"]["image"] == f"llama-exporter:{project()['version']}"


def test_who_may_look_at_grafana_cannot_log_in(compose: Data) -> None:
    grafana = compose["services"]["grafana"]["environment"]
    assert default(grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"]) == "Viewer"
    for name in ("AUTH_ANONYMOUS_ENABLED", "AUTH_DISABLE_LOGIN_FORM", "SECURITY_DISABLE_INITIAL_ADMIN_CREATION"):
        assert grafana[f"GF_{name}"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"


def test_grafana_on_a_read_only_file_system_leaves_its_plugins_alone(compose: Data) -> None:
    """Otherwise its installer removes the data sources, fails to put newer ones there, and no panel has data."""
    grafana = compose["services"]["grafana"]
    assert grafana["read_only"] is True
    assert grafana["environment"]["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"


def test_the_home_page_is_a_dashboard_of_ours(compose: Data) -> None:
    home = Path(compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / "dashboards" / home.name).is_file()


def unreachable(compose: Data, variables: dict[str, str], profiles: set[str]) -> list[str]:
    """Upstreams that have no service, or no such port, when these profiles run."""
    given = variables.get("LLAMA_EXPORTER_UPSTREAMS")
    text = given or default(compose["services"]["llama-exporter"]["environment"]["LLAMA_EXPORTER_UPSTREAMS"])
    urls = [entry.strip().rsplit("=", 1)[-1] for entry in text.split(",")]
    reachable = checks.in_profiles(compose, profiles) | {"host.docker.internal"}
    return [url for url in urls if url.removeprefix("http://").removesuffix(":8080") not in reachable]


@pytest.mark.parametrize("file", ENV_FILES, ids=lambda file: file.stem)
def test_an_environment_file_chooses_a_profile_and_its_upstreams(compose: Data, file: Path) -> None:
    variables = environment(file)
    assert variables.get("COMPOSE_PROFILES", file.stem) == file.stem
    assert unreachable(compose, variables, {variables.get("COMPOSE_PROFILES", "")}) == []


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_a_profile_with_one_llama_server_needs_no_variables(compose: Data, profile: str) -> None:
    assert unreachable(compose, {}, {profile}) == []
    assert unreachable(compose, {}, {"fleet"}) == ["http://llama-server:8080"]  # so the fleet has a file


def test_what_an_environment_file_sets_is_read_by_compose(compose: Data) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    names = {name for file in ENV_FILES for name in environment(file)} - {"COMPOSE_PROFILES"}
    wanted = {"LLAMA_EXPORTER_UPSTREAMS", "LLAMA_EXPORTER_STORE__URL", "SIDECAR_RUNTIME", "POSTGRES_PASSWORD"}
    assert names == wanted
    assert all(f"${{{name}:-" in text for name in names)


@pytest.mark.parametrize("file", [*ENV_FILES, None], ids=lambda file: file.stem if file else "default")
def test_the_upstreams_are_valid_settings(compose: Data, file: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment(file) if file else {}
    for name, value in compose["services"]["llama-exporter"]["environment"].items():
        if value is not None:  # else it is passed on where it is set
            monkeypatch.setenv(name, variables.get(name) or default(value))
    tiers = [upstream.tier for upstream in load_settings().upstreams]
    assert tiers == (["Q2", "Q3", "Q4"] if file and file.stem == "fleet" else [None])


def test_llama_servers_listen_where_the_sidecar_asks(compose: Data) -> None:
    servers = {name: service for name, service in compose["services"].items() if "llama.cpp" in service["image"]}
    assert {profile for server in servers.values() for profile in server["profiles"]} == set(PROFILES)
    for server in servers.values():
        assert "--metrics" in server["command"]
        assert server["command"][server["command"].index("--port") + 1] == "8080"
        assert server["healthcheck"]["test"][-1] == "http://127.0.0.1:8080/health"


def test_only_the_gpu_profile_reserves_gpus(compose: Data) -> None:
    assert [name for name, service in compose["services"].items() if "deploy" in service] == ["llama-server-gpu"]
    assert environment(DEPLOY / "compose" / "gpu.env")["SIDECAR_RUNTIME"] == "nvidia"
    assert default(compose["services"]["llama-exporter"]["runtime"]) == ""


def test_the_fleet_keeps_its_history_in_the_database_that_is_there(compose: Data) -> None:
    sidecar, database = (compose["services"][name] for name in ("llama-exporter", "postgres"))
    url = urlsplit(environment(DEPLOY / "compose" / "fleet.env")["LLAMA_EXPORTER_STORE__URL"])
    owner = database["environment"]
    assert (url.scheme, url.hostname, url.port) == ("postgresql", "postgres", None)
    assert (url.username, url.path) == (owner["POSTGRES_USER"], f"/{owner['POSTGRES_DB']}")
    assert url.password is None
    assert sidecar["environment"]["PGPASSWORD"] == owner["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD:-}"
    assert set(sidecar["networks"]) & set(database["networks"]) == {"history"}


def test_all_others_keep_it_in_a_volume(compose: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the image has its state directory."""
    sidecar = compose["services"]["llama-exporter"]
    (folder,) = re.findall(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    assert sidecar["volumes"] == [f"llama-exporter-data:{folder}"]
    monkeypatch.setenv("XDG_STATE_HOME", str(Path(folder).parent))
    monkeypatch.setenv("LLAMA_EXPORTER_STORE__URL", default(sidecar["environment"]["LLAMA_EXPORTER_STORE__URL"]))
    assert load_settings().store.place == f"sqlite:///{folder}/history.db"


def test_the_name_of_the_sidecar_outlives_its_container(compose: Data) -> None:
    assert default(compose["services"]["llama-exporter"]["environment"]["LLAMA_EXPORTER_STORE__INSTANCE"])


def test_the_database_is_for_the_sidecar_alone(compose: Data) -> None:
    members = [name for name, service in compose["services"].items() if "history" in service.get("networks", [])]
    assert members == ["llama-exporter", "postgres"]
    assert compose["services"]["postgres"]["networks"] == ["history"]
    assert compose["networks"]["history"] == {"internal": True}
    assert "ports" not in compose["services"]["postgres"]


def test_containers_are_stopped_no_sooner_than_the_sidecar_has_finished(compose: Data) -> None:
    grace = int(compose["services"]["llama-exporter"]["stop_grace_period"].removesuffix("s"))
    assert grace > load_settings().proxy.shutdown_grace_seconds
