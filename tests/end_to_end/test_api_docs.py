"""A browser at `/api/docs`: the operations are listed and can be tried out, with and without keys, and nothing is asked
of another host."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from exporter import __version__
from tests.end_to_end.browser import Visit
from tests.end_to_end.sidecar import Sidecar

NOBODY = "http://127.0.0.1:9"
KEY = "a-key-for-the-tests"


class Docs(Visit):
    """The page."""

    def __init__(self, browser: Browser, sidecar: Sidecar) -> None:
        super().__init__(browser)
        self.page.goto(f"{sidecar.admin}/api/docs")

    def try_readiness(self) -> None:
        """What a person does: open an operation, try it out, see the answer."""
        operation = self.page.locator(".opblock", has=self.page.get_by_text("/-/ready", exact=True))
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table .response-col_status").last).to_have_text("200")
        expect(operation.locator(".live-responses-table")).to_contain_text('"ready": true')


def test_operations_are_listed_and_can_be_tried(browser: Browser) -> None:
    with Sidecar("--upstream", NOBODY, environment=NOT_SAMPLED) as sidecar:
        visit = Docs(browser, sidecar)
        expect(visit.page.locator(".info .title")).to_contain_text(f"llama-exporter {__version__}")
        expect(visit.page.get_by_text("/openapi.json", exact=True).first).to_be_visible()
        expect(visit.page.locator("#problem")).to_be_hidden()
        expect(visit.page.get_by_role("button", name="Authorize")).to_have_count(0)
        visit.try_readiness()
        visit.check(sidecar.admin)


def test_a_key_is_asked_for_and_used(browser: Browser) -> None:
    with Sidecar("--upstream", NOBODY, environment={**NOT_SAMPLED, "PROXY_API_KEY": KEY}) as sidecar:
        visit = Docs(browser, sidecar)
        expect(visit.page.locator(".opblock")).to_have_count(0)
        visit.page.get_by_label("API key").fill(KEY)
        visit.page.get_by_role("button", name="Show").click()
        expect(visit.page.get_by_role("button", name="Authorize")).to_be_visible()
        expect(visit.page.get_by_label("API key")).to_have_count(0)
        visit.try_readiness()
        visit.check(sidecar.admin)


def test_a_wrong_key_is_said_to_be_wrong(browser: Browser) -> None:
    with Sidecar("--upstream", NOBODY, environment={"PROXY_API_KEY": KEY}) as sidecar:
        visit = Docs(browser, sidecar)
        visit.page.get_by_label("API key").fill("another")
        visit.page.get_by_role("button", name="Show").click()
        expect(visit.page.get_by_role("alert")).to_have_text("That is not a valid key.")
        assert all("401" in complaint for complaint in visit.complaints)
        visit.page.get_by_label("API key").fill(KEY)
        visit.page.get_by_label("API key").press("Enter")
        expect(visit.page.locator(".opblock").first).to_be_visible()


NOT_SAMPLED = {"LLAMA_EXPORTER_SAMPLING__LLAMA_SERVER": "false"}
"""Then readiness is not doubted, though nobody is behind the sidecar."""
