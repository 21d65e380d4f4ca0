"""deploy/systemd: systemd takes the unit, our command line takes its command, and what figures need stays visible."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.config import load as load_settings
from exporter.settings import otel_variables
from exporter.settings.otel import OTLP
from tests.deploy.files import DEPLOY, environment, secrets
from tests.programs import program

UNIT = DEPLOY / "systemd" / "llama-exporter.service"
ENVIRONMENT = DEPLOY / "systemd" / "llama-exporter.env"
EXPOSURE_LIMIT = 2.0
"""systemd's own measure, 0 to 10; what is left is the network, and device files."""


def service(unit: str) -> dict[str, list[str]]:
    """The section `Service`: values by name, of which some are given more than once."""
    section = unit.partition("[Service]")[2].partition("\n[")[0]
    values: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        values.setdefault(name, []).append(value)
    return values


SERVICE = service(UNIT.read_text(encoding="utf-8"))


def analyze(text: str, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What systemd says of a unit whose program is there."""
    runnable = folder / UNIT.name
    runnable.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", text), encoding="utf-8")
    words = [program("systemd-analyze"), *command, str(runnable)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    done = analyze(UNIT.read_text(encoding="utf-8"), tmp_path, "verify", "--man=no", "--recursive-errors=no")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_complains_of_a_slip(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("ProtectHome=read-only", "ProtectHome=readonly")
    done = analyze(text, tmp_path, "verify", "--man=no", "--recursive-errors=no")
    assert "Failed to parse protect home value" in done.stderr


def exposure(text: str, folder: Path) -> float:
    done = analyze(text, folder, "security", "--offline=true", "--no-pager")
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd does not measure units that are not running: {done.stderr.strip()}")
    return float(found[1])


def test_the_service_can_do_little(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert exposure(text, tmp_path) <= EXPOSURE_LIMIT
    assert exposure(re.sub(r"(?m)^(SystemCall|Capability|Protect|Restrict).*$", "", text), tmp_path) > EXPOSURE_LIMIT


def test_what_the_figures_need_is_left_visible() -> None:
    assert "PrivateDevices" not in SERVICE  # would hide /dev/nvidia*
    assert SERVICE["DeviceAllow"] == ["char-nvidia* rw"]
    assert "ProcSubset" not in SERVICE  # would hide /proc/stat and /proc/meminfo
    assert "PrivateNetwork" not in SERVICE


def test_our_command_line_takes_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    (command,) = SERVICE["ExecStart"]
    path, serve, *options = command.split()
    assert (path, serve) == ("/opt/llama-exporter/bin/llama-exporter", "serve")
    assert main(["check-config", *options]) == 0


def test_its_history_is_in_the_folder_that_systemd_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = SERVICE["StateDirectory"]
    (setting,) = SERVICE["Environment"]
    name, _, value = setting.partition("=")
    assert value == "%S"  # /var/lib for a service of the machine
    monkeypatch.setenv(name, "/var/lib")
    assert load_settings().store.place == f"sqlite:////var/lib/{folder}/history.db"
    assert SERVICE["StateDirectoryMode"] == ["0700"]


def test_it_waits_for_requests_in_flight() -> None:
    (timeout,) = SERVICE["TimeoutStopSec"]
    assert int(timeout.removesuffix("s")) > load_settings().proxy.shutdown_grace_seconds


def test_the_example_of_settings_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert SERVICE["EnvironmentFile"] == [f"-/etc/llama-exporter/{ENVIRONMENT.name}"]
    assert secrets(environment(ENVIRONMENT)) == []
    every = tmp_path / "every.env"
    every.write_text(re.sub(r"(?m)^# (?=\w+=)", "", ENVIRONMENT.read_text(encoding="utf-8")), encoding="utf-8")
    for name, value in environment(every).items():
        monkeypatch.setenv(name, value)
    otel, warnings = otel_variables.read(environment(every))
    assert otel.traces.exporters == {OTLP}
    assert otel.metrics.exporters == set()
    assert warnings == []
    settings = load_settings()
    assert settings.admin.listen == ("0.0.0.0:9464",)
    assert len(settings.auth.api_keys) == 1
    assert (settings.store.place or "").startswith("postgresql://")
    assert settings.store.instance


def test_units_are_read_as_systemd_reads_them() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    assert parser.sections() == ["Unit", "Service", "Install"]
    assert set(parser["Service"]) == set(SERVICE)
