"""promtool has no complaints, its tests pass, and they would not if an alert never fired."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import program
from tests.prometheus.rulebook import ROOT, SHIPPED, promtool_files, read_scenes, shipped_alerts

NEVER = "vector(0) > 1"


def promtool(*arguments: str | Path) -> tuple[int, str]:
    """Exit status, and all that it says."""
    command = [program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_the_configuration_is_sound() -> None:
    status, output = promtool("check", "config", "prometheus/prometheus.yml")
    assert status == 0, output
    assert output.count("rules found") >= len(list(SHIPPED.glob("rules/*.yml"))) + len(
        list(SHIPPED.glob("alerts/*.yml"))
    )


def test_a_broken_configuration_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "prometheus.yml"
    broken.write_text((SHIPPED / "prometheus.yml").read_text().replace("job_name", "job"))
    assert promtool("check", "config", broken)[0] != 0


def test_the_rules_are_sound() -> None:
    files = [*SHIPPED.glob("rules/*.yml"), *SHIPPED.glob("alerts/*.yml")]
    status, output = promtool("check", "rules", "--lint-fatal", *files)
    assert status == 0, output
    assert output.count("SUCCESS") == len(files) > 5


def test_a_broken_rule_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "rules.yml"
    broken.write_text((SHIPPED / "rules/slo.yml").read_text().replace("sum_over_time(", "sum_over_time((", 1))
    assert promtool("check", "rules", broken)[0] != 0


@pytest.mark.parametrize("path", promtool_files(), ids=lambda path: path.stem)
def test_the_tests_pass(path: Path) -> None:
    status, output = promtool("test", "rules", path.relative_to(ROOT))
    assert status == 0, output


def test_an_alert_that_never_fires_is_noticed(tmp_path: Path) -> None:
    """Every single one of them: each scene in which it should fire then fails."""
    tests = [silenced(path, tmp_path) for path in promtool_files()]
    status, output = promtool("test", "rules", *tests)
    assert status != 0
    missed = [alert.title for alert in shipped_alerts() if not _is_missed(alert.name, alert.variant, output)]
    assert missed == []


def silenced(path: Path, folder: Path) -> Path:
    """A copy of a test file, of which only those scenes are kept in which an alert fires, with alerts that never do."""
    tests = yaml.safe_load(path.read_text())
    fires = [any(look.firing for look in scene.looks) for scene in read_scenes(tests)]
    tests["tests"] = [group for group, kept in zip(tests["tests"], fires, strict=True) if kept]
    tests["rule_files"] = [str(_silence(rules, folder)) for rules in sorted(SHIPPED.glob("alerts/*.yml"))]
    tests.pop("group_eval_order", None)
    return _write(folder / path.name, tests)


def _silence(path: Path, folder: Path) -> Path:
    rules = yaml.safe_load(path.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = NEVER
    return _write(folder / "alerts" / path.name, rules)


def _write(path: Path, document: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def _is_missed(name: str, variant: str, output: str) -> bool:
    wanted = f'Labels:{{alertname="{name}"'
    return any(wanted in line and (not variant or f'long="{variant}"' in line) for line in output.splitlines())
