"""What the built-in page says where there is nothing to show: why, and what to do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
from playwright.sync_api import Browser, expect

from exporter.demo.engine import Engine
from tests.end_to_end.accessible import violations
from tests.end_to_end.page import THEMES, Monitor
from tests.end_to_end.sidecar import Sidecar
from tests.programs import program

QUICK = {"LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "0.5"}


def check_themes(visit: Monitor) -> None:
    """Everybody can use it as it stands now."""
    for theme in THEMES:
        visit.show((1280, 800), theme)
        assert violations(visit.page) == []


def test_no_traffic_and_no_store(browser: Browser, engine: Engine) -> None:
    program("curl")
    with Sidecar("--upstream", engine.url, environment=QUICK) as sidecar:
        visit = Monitor(browser, sidecar.admin)
        visit.page.clock.install()
        visit.open()
        nothing = visit.page.locator("#no-traffic")
        expect(nothing).to_contain_text("No requests yet")
        check_themes(visit)
        command = nothing.locator("#command").inner_text()
        assert sidecar.proxy in command
        run = subprocess.run(["sh", "-c", f"{command} --silent --fail"], capture_output=True, timeout=60, check=True)
        assert json.loads(run.stdout)["choices"], run
        visit.hurry()
        expect(nothing).to_be_hidden()
        expect(visit.page.locator("[data-figure='metrics.totalRequests']")).to_have_text("1")
        visit.go("requests")
        expect(visit.page.locator("#requests-empty")).to_contain_text("No history is kept")
        expect(visit.page.locator("#requests-empty")).to_contain_text("--store sqlite:")
        assert violations(visit.page) == []
        # It is a browser that asks for what is not there.
        assert [each for each in visit.complaints if "503" not in each] == []
        visit.close()


def test_no_llama_server(browser: Browser, find_port: Callable[[], int]) -> None:
    with Sidecar("--upstream", f"Q4=http://127.0.0.1:{find_port()}", environment=QUICK) as sidecar:
        visit = Monitor(browser, sidecar.admin).open()
        expect(visit.health).to_contain_text("llama-server Q4 has not answered since ")
        (upstream,) = httpx.get(f"{sidecar.admin}/monitoring/now", trust_env=False).json()["upstreams"]
        since = datetime.fromisoformat(upstream["since"]).astimezone(UTC)
        expect(visit.health).to_contain_text(f"since {since:%H:%M:%S} ({upstream['reason']})")
        expect(visit.page.locator("#no-traffic-why")).to_contain_text("No llama-server answers")
        check_themes(visit)
        card = visit.go("models").locator("[data-upstream=Q4]")
        expect(card).to_contain_text("does not answer")
        expect(card).to_contain_text(f"since {since:%H:%M:%S}")
        expect(card).to_contain_text(upstream["reason"])
        check_themes(visit)
        visit.check(sidecar.admin)
        visit.close()


def test_recording_is_off(browser: Browser, engine: Engine) -> None:
    with Sidecar("--upstream", engine.url, environment={**QUICK, "LOG_REQUEST_METRICS": "false"}) as sidecar:
        visit = Monitor(browser, sidecar.admin).open()
        expect(visit.state).to_have_text("Live")
        expect(visit.health).to_contain_text("Nothing is recorded: metrics.enabled (LOG_REQUEST_METRICS) is off")
        expect(visit.page.locator("#no-traffic-why")).to_contain_text(
            "set metrics.enabled (LOG_REQUEST_METRICS) to true"
        )
        assert violations(visit.page) == []
        visit.check(sidecar.admin)
        visit.close()
