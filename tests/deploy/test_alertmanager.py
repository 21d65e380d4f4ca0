"""prometheus/alertmanager.yml: amtool takes it, each severity has a receiver, and what is inhibited exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import PROMETHEUS, Data, load, secrets
from tests.programs import program

CONFIG = PROMETHEUS / "alertmanager.yml"
RECEIVERS = {"critical": "on-call", "warning": "team", "info": "nobody"}


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("amtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=30, check=False
    )


def alerts() -> list[Data]:
    groups = [group for path in sorted(PROMETHEUS.glob("alerts/*.yml")) for group in load(path)["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_amtool_takes_it() -> None:
    done = amtool("check-config", str(CONFIG))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 templates" in done.stdout


def test_amtool_refuses_a_slip(tmp_path: Path) -> None:
    text = CONFIG.read_text(encoding="utf-8").replace("receiver: on-call", "receiver: oncall")
    (tmp_path / "alertmanager.yml").write_text(
        text.replace("templates: [templates", f"templates: [{PROMETHEUS}/templates")
    )
    assert amtool("check-config", str(tmp_path / "alertmanager.yml")).returncode != 0


@pytest.mark.parametrize("severity", RECEIVERS)
def test_a_severity_has_its_receiver(severity: str) -> None:
    done = amtool("config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}", "alertname=Any")
    assert done.stdout.split() == [RECEIVERS[severity]]


def test_alerts_have_the_severities_that_there_are_routes_for() -> None:
    assert {rule["labels"]["severity"] for rule in alerts()} == set(RECEIVERS)


def test_info_is_told_to_nobody_and_all_else_to_somebody() -> None:
    config = load(CONFIG)
    silent = [receiver["name"] for receiver in config["receivers"] if receiver.keys() == {"name"}]
    assert silent == ["nobody"]
    assert secrets(config) == []
    assert secrets({"receivers": [{"slack_configs": [{"api_key": "hunter2"}]}]}) == [
        "receivers.0.slack_configs.0.api_key"
    ]


def inhibitions(config: Data) -> list[tuple[str, set[str]]]:
    """Patterns of alert names in inhibitions, each with the labels that must be equal."""
    found = []
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            name = re.fullmatch(r'alertname (?:=|=~) "?([^"]+)"?', matcher)
            found += [(name[1], set(rule["equal"]))] if name else []
    return found


def without_meaning(config: Data, rules: list[Data]) -> list[str]:
    """Patterns that fit no alert."""
    names = {rule["alert"] for rule in rules}
    patterns = [pattern for pattern, _ in inhibitions(config)]
    return [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)]


def test_alerts_that_inhibit_and_that_are_inhibited_exist() -> None:
    config = load(CONFIG)
    assert len(inhibitions(config)) == 6
    assert without_meaning(config, alerts()) == []
    assert "LlamaExporterDown" in without_meaning(config, [{"alert": "LlamaSidecarDown"}])


def test_an_alert_that_inhibits_by_instance_has_one() -> None:
    """Labels that both lack count as equal: without an instance everything would be inhibited."""
    for rule in alerts():
        if rule["alert"] in {"LlamaExporterDown", "LlamaNoModelAvailable"}:
            assert "$labels.instance" in rule["annotations"]["summary"], rule["alert"]


def test_the_two_speeds_of_a_budget_differ_in_severity_only() -> None:
    (same,) = [
        rule["equal"] for rule in load(CONFIG)["inhibit_rules"] if "severity = critical" in rule["source_matchers"]
    ]
    burning = [rule for rule in alerts() if rule["alert"].endswith("BudgetBurn")]
    assert {rule["labels"]["severity"] for rule in burning} == {"critical", "warning"}
    assert set(same) == {"alertname", "job", "slo", "tier"}
    assert not any(set(same) & rule["labels"].keys() for rule in burning)


@pytest.fixture
def notification(tmp_path: Path) -> Path:
    """One alert, as Alertmanager gives it to a template."""
    first = alerts()[0]
    alert = {"status": "firing", "labels": {"alertname": first["alert"]}, "annotations": first["annotations"]}
    resolved: dict[str, Any] = {"status": "resolved", "labels": {}, "annotations": {"summary": "Over"}}
    labels = {"alertname": first["alert"], **first["labels"]}
    data = {"status": "firing", "alerts": [alert, resolved], "commonLabels": labels, "receiver": "team"}
    (tmp_path / "data.json").write_text(json.dumps(data), encoding="utf-8")
    return tmp_path / "data.json"


def render(template: str, data: Path) -> str:
    text = f'{{{{ template "{template}" . }}}}'
    glob = f"--template.glob={PROMETHEUS}/{load(CONFIG)['templates'][0]}"
    done = amtool("template", "render", glob, f"--template.text={text}", f"--template.data={data}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_message_links_the_runbook_and_the_dashboard(notification: Path) -> None:
    annotations = alerts()[0]["annotations"]
    message = render("llama_exporter.text", notification)
    assert annotations["summary"] in message
    assert f"What to do: {annotations['runbook']}\n" in message
    assert f"Dashboard: http://localhost:3000/d/{annotations['dashboard']}\n" in message
    assert message.endswith("RESOLVED: Over")


def test_a_title_says_what_and_how_bad(notification: Path) -> None:
    first = alerts()[0]
    assert (
        render("llama_exporter.title", notification) == f"[FIRING 1] {first['alert']} ({first['labels']['severity']})"
    )


def test_the_example_in_its_comments_is_valid(tmp_path: Path) -> None:
    """The receiver that sends mail, without its `#`, in the place of the one that it stands for."""
    config = load(CONFIG)
    comment = CONFIG.read_text(encoding="utf-8").split("By mail, for example:\n")[1]
    example = yaml.safe_load(re.sub(r"(?m)^  # ", "", comment))
    config["receivers"] = [*(each for each in config["receivers"] if each["name"] != "team"), *example]
    config["templates"] = [f"{PROMETHEUS}/{pattern}" for pattern in config["templates"]]
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    done = amtool("check-config", str(tmp_path / "alertmanager.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
