"""The configuration of Prometheus and Alertmanager as it is shipped, made to fit the addresses and the pace of a stage.
`staging` starts them with it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parent.parent.parent / "prometheus"
PATIENT = "patient"
"""Value of the label `pace` of alerts that wait as long as the shipped ones, beside the fast ones."""
WAITS = ("for", "keep_firing_for")
DURATION = re.compile(r"(\d+)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast time goes by: a test has minutes where a user has weeks."""

    interval_seconds: int = 2
    """Of scrapes and of rules."""
    hurry: int = 150
    """How many times faster than shipped an alert is sure of itself (`for`, `keep_firing_for`). When it is not 1,
    Alertmanager tells at once, and the alerts as shipped run beside the fast ones, told to nobody: see `PATIENT`."""


def write_prometheus(home: Path, targets: Sequence[str], alertmanager: str, pace: Pace) -> Path:
    """Write `prometheus.yml`, rules and alerts into a folder; `targets` and `alertmanager` are `host:port`. Returns
    the path of the configuration."""
    shutil.copytree(SHIPPED / "rules", home / "rules")
    _write_alerts(home / "alerts", pace)
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    interval = f"{pace.interval_seconds}s"
    config["global"] |= {"scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": interval}
    config["scrape_configs"][0]["static_configs"] = [{"targets": list(targets)}]
    config["alerting"]["alert_relabel_configs"] = [{"source_labels": ["pace"], "regex": PATIENT, "action": "drop"}]
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager]}]
    return _write(home / "prometheus.yml", config)


def write_alertmanager(home: Path, receiver: str, pace: Pace) -> Path:
    """Write `alertmanager.yml` and its templates into a folder: every webhook is `receiver`. Returns the path of the
    configuration."""
    shutil.copytree(SHIPPED / "templates", home / "templates")
    config = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
    for each in config["receivers"]:
        for hook in each.get("webhook_configs", ()):
            hook["url"] = receiver
    if pace.hurry != 1:
        _hurry_routes(config["route"])
    return _write(home / "alertmanager.yml", config)


def _write_alerts(folder: Path, pace: Pace) -> None:
    folder.mkdir()
    for path in (SHIPPED / "alerts").glob("*.yml"):
        alerts = yaml.safe_load(path.read_text())
        _write(folder / path.name, hurried(alerts, pace.hurry))
        if pace.hurry != 1:
            _write(folder / f"{PATIENT}-{path.name}", patient(alerts))


def hurried(alerts: Document, times: int) -> Document:
    """The same alerts, sure of themselves so many times sooner. The times that are shipped are tested by promtool."""

    def hurry(rule: Document) -> Document:
        return {key: _sooner(value, times) if key in WAITS else value for key, value in rule.items()}

    return _changed(alerts, hurry)


def patient(alerts: Document) -> Document:
    """The same alerts as shipped, marked."""
    return _changed(alerts, lambda rule: {**rule, "labels": {**rule.get("labels", {}), "pace": PATIENT}})


def _changed(alerts: Document, change: Callable[[Document], Document]) -> Document:
    groups = [{**group, "rules": [change(rule) for rule in group["rules"]]} for group in alerts["groups"]]
    return {"groups": [{key: value for key, value in group.items() if key != "interval"} for group in groups]}


def _sooner(duration: str, times: int) -> str:
    seconds = sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(duration))
    return f"{seconds * 1000 // times}ms"


def _hurry_routes(route: Document) -> None:
    route |= {"group_wait": "1s", "group_interval": "1s"}
    for each in route.get("routes", ()):
        _hurry_routes(each)


def _write(path: Path, document: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False))
    return path
