"""Loading and unloading on the built-in page, with a real llama-server in router mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.end_to_end.managed import Manager, managing
from tests.end_to_end.page import Monitor
from tests.end_to_end.page_world import PageWorld


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    with managing(tmp_path_factory.mktemp("page-models")) as running:
        running.register("tiny-a", "tiny-b", "tiny-c")
        yield running


@pytest.mark.router
def test_a_model_is_loaded_and_unloaded(browser: Browser, manager: Manager) -> None:
    visit = Monitor(browser, manager.sidecar.admin).open(section="models")
    row = visit.page.locator("#model-list tr[data-model=tiny-a]")
    load, unload = (row.get_by_role("button", name=f"{verb} tiny-a") for verb in ("Load", "Unload"))
    state, message = row.locator(".state"), visit.page.locator("#models-message")
    expect(visit.page.locator("#models-note")).to_contain_text("Models are loaded and unloaded on ")
    expect(state).to_have_text("stopped")
    orders: list[Route] = []

    def hold(route: Route) -> None:
        """Tiny models load in no time: the order is let through when that it was given has been seen."""
        orders.append(route)

    visit.page.route("**/api/models/tiny-a/load", hold)
    load.click()
    expect(message).to_have_text("Loading tiny-a.")
    expect(state).to_have_text("loading")
    (order,) = orders
    order.continue_()
    expect(state).to_have_text(re.compile("^(running|idle)$"))
    assert manager.status("tiny-a") in ("running", "idle")
    expect(message).to_have_text("tiny-a is loaded.")
    assert manager.chat("tiny-a").status_code == 200
    unload.click()
    expect(message).to_have_text("Unloading tiny-a.")
    expect(state).to_have_text("stopped")
    assert manager.status("tiny-a") == "stopped"
    expect(load).to_be_enabled()
    visit.check(manager.sidecar.admin)
    visit.close()


@pytest.mark.router
def test_a_refused_load_says_why(browser: Browser, manager: Manager) -> None:
    """Somebody else has removed the model, which the page, whose clock stands still, has not seen yet."""
    visit = Monitor(browser, manager.sidecar.admin)
    visit.page.clock.install()
    visit.open(section="models")
    button = visit.page.get_by_role("button", name="Load tiny-b")
    expect(button).to_be_visible()
    visit.page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))
    assert manager.api.delete("/models/tiny-b").status_code == 200
    button.click()
    refused = manager.api.post("/models/tiny-b/load", json={})
    assert refused.status_code == 404
    said = f"tiny-b was not loaded: {refused.json()['error']['message']}"
    expect(visit.page.locator("#models-message")).to_have_text(said)
    expect(button).to_have_count(0)
    assert [each for each in visit.complaints if "404" not in each] == []
    visit.close()


@pytest.mark.router
def test_a_failed_load_says_why(browser: Browser, manager: Manager) -> None:
    """Its file is gone."""
    visit = Monitor(browser, manager.sidecar.admin).open(section="models")
    (manager.models / "tiny-c.gguf").rename(manager.models / "aside")
    row = visit.page.locator("#model-list tr[data-model=tiny-c]")
    row.get_by_role("button", name="Load tiny-c").click()
    expect(row.locator(".state")).to_have_text("error")
    said = manager.api.get("/models/tiny-c").json()
    expect(row).to_contain_text(said["error"])
    expect(row.get_by_role("button", name="Load again tiny-c")).to_be_enabled()
    expect(visit.page.locator("#models-message")).not_to_have_text("Loading tiny-c.")
    visit.check(manager.sidecar.admin)
    visit.close()


def test_without_a_router_there_is_nothing_to_click(browser: Browser, page_world: PageWorld) -> None:
    visit = Monitor(browser, page_world.sidecar.admin).open(section="models")
    expect(visit.page.locator("#models-note")).to_contain_text("No llama-server here loads models on demand.")
    expect(visit.page.locator("#model-list tbody tr")).not_to_have_count(0)
    expect(visit.page.locator("#model-list").get_by_role("button")).to_have_count(0)
    visit.check(page_world.sidecar.admin)
    visit.close()
