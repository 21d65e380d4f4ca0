"""What is asked of docker-compose.yml, as functions from its data to complaints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.deploy.files import Data, default, load

USER_FOLDERS = {"./models"}
"""Mounted where the user has them."""
ONLY_THE_PROGRAM = {"otel-collector", "tempo"}
"""Images without a shell or a client, so that nothing in them could ask whether they are healthy."""
HEALTH_CHECK_IN_IMAGE = {"llama-exporter"}


def unpinned(compose: Data) -> list[str]:
    """Images without a tag, or with one that moves."""
    images = {name: service.get("image", "") for name, service in compose["services"].items()}
    exact = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*")
    return [name for name, image in images.items() if not exact.fullmatch(image) or image.endswith(":latest")]


def unhardened(compose: Data) -> list[str]:
    """Services that could do more than they need to, with what is missing."""
    wanted = {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
    }
    return [
        f"{name}: {key}"
        for name, service in compose["services"].items()
        for key, value in wanted.items()
        if service.get(key) != value
    ]


def rootful(compose: Data, dockerfile: str) -> list[str]:
    """Services that may run as root: no user here, and none in an image of ours."""
    ours = re.search(r"^USER (\S+)", dockerfile, re.MULTILINE)
    return [
        name
        for name, service in compose["services"].items()
        if not re.match(r"[1-9]\d*", str(service.get("user") or ("build" in service and ours and ours[1]) or ""))
    ]


def published(compose: Data) -> list[str]:
    """Ports that other machines could reach."""
    ports = [(name, str(port)) for name, service in compose["services"].items() for port in service.get("ports", [])]
    return [f"{name}: {port}" for name, port in ports if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)]


def unwatched(compose: Data) -> list[str]:
    """Services of which nobody asks whether they are healthy."""
    exempt = ONLY_THE_PROGRAM | HEALTH_CHECK_IN_IMAGE
    return [
        name for name, service in compose["services"].items() if "healthcheck" not in service and name not in exempt
    ]


def missing_mounts(compose: Data, root: Path) -> list[str]:
    """Files and folders that are mounted and do not exist, or can be written to; volumes that nobody declares."""
    found = []
    for name, service in compose["services"].items():
        for volume in map(default, service.get("volumes", [])):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                missing = source not in USER_FOLDERS and not (root / source).exists()
                found += [f"{name}: {volume}"] if missing or mode != ["ro"] or not target.startswith("/") else []
            elif source not in compose["volumes"]:
                found.append(f"{name}: {volume}")
    return found


def unmounted(compose: Data) -> list[str]:
    """Files named in a command or the environment that no mount of the service brings."""
    found = []
    for name, service in compose["services"].items():
        mounts = [volume.split(":")[1] for volume in map(default, service.get("volumes", []))]
        values = [*service.get("command", []), *map(str, (service.get("environment") or {}).values())]
        paths = [path for value in values for path in re.findall(r"/[\w./${}:-]+\.(?:ya?ml|json|gguf)", default(value))]
        found += [f"{name}: {path}" for path in paths if not any(path.startswith(f"{mount}/") for mount in mounts)]
    return found


def broken_dependencies(compose: Data) -> list[str]:
    """Services that wait for one that is not there in every profile, or for a health that nobody tells."""
    found = []
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            target = compose["services"].get(other)
            healthy = how["condition"] != "service_healthy" or (target and "healthcheck" in target)
            if target is None or "profiles" in target or not healthy:
                found.append(f"{name}: {other}")
    return found


def in_profiles(compose: Data, profiles: set[str]) -> set[str]:
    """The names by which the services that run can be reached: their own, and their aliases."""
    names = set()
    for name, service in compose["services"].items():
        if "profiles" not in service or profiles.intersection(service["profiles"]):
            networks = service.get("networks")
            options = list(networks.values()) if isinstance(networks, dict) else []
            names |= {name, *(alias for option in options for alias in (option or {}).get("aliases", []))}
    return names


def listening(compose: Data, deploy: Path) -> dict[str, set[int]]:
    """The ports of each service within the network: published ones, those of commands, and those of the two files."""
    ports: dict[str, set[int]] = {}
    for name, service in compose["services"].items():
        command = [str(word) for word in service.get("command", [])]
        told = {int(command[at + 1]) for at, word in enumerate(command) if word == "--port"}
        ports[name] = told | {int(str(port).rsplit(":", 1)[1]) for port in service.get("ports", [])}
    tempo = load(deploy / "tempo" / "tempo.yaml")
    ports["tempo"] |= {tempo["server"]["http_listen_port"], *otlp_ports(tempo["distributor"]["receivers"])}
    ports["otel-collector"] &= set(otlp_ports(load(deploy / "otel-collector" / "config.yaml")["receivers"]))
    return ports


def otlp_ports(receivers: Any) -> list[int]:
    """The ports of an OTLP receiver, of the collector or of Tempo."""
    protocols = receivers["otlp"]["protocols"].values()
    return [int(protocol["endpoint"].rsplit(":", 1)[1]) for protocol in protocols]
