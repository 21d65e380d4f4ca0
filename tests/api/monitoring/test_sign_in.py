"""Signing in, as browsers do it, and as others try to."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exporter.api import admin, openapi
from exporter.api.files import File
from exporter.api.monitoring.attempts import Attempts
from exporter.api.monitoring.errors import refuse
from exporter.api.monitoring.page import HEADERS, HTML, PATH
from exporter.api.monitoring.sign_in import BODY_LIMIT_BYTES, OUT_PATH, SignIn
from exporter.api.operation import FORM, Answer, Operation
from exporter.api.room import Room
from exporter.api.sessions import LASTS_SECONDS, Sessions
from exporter.asgi import ASGIApp, Message
from exporter.keys import KeyRing
from tests.api.views import Clock
from tests.proxy.harness import ask as raw_ask
from tests.serving import serving

KEYS = ("right", "another")
PAGE = "the page <b>itself</b>"
HOST = "box.lan:9464"
OWN = f"http://{HOST}"
OWN_TLS = f"https://{HOST}"
FORM_FIELDS = {"content-type": FORM}


async def read(_: Request) -> Response:
    return JSONResponse({})


class Stand:
    """The admin listener with the sign-in and one route behind it, for browsers at any address."""

    def __init__(self, *keys: str) -> None:
        self.clock = Clock()
        sessions = Sessions(keys, wall=self.clock.wall)
        ring = KeyRing(keys)
        page = File.of(HTML, PAGE.encode(), HEADERS)
        sign_in = SignIn(ring, sessions, page, Attempts(clock=self.clock, wall=self.clock.wall))
        ok = {200: Answer("", dict[str, str])}
        figures = Room("figures", "", (Operation("GET", "/figures", read, "get_figures", "", ok),))
        room = Room("page", "", sign_in.operations(), places=(PATH, f"{PATH}/"), refuse=refuse)
        description = openapi.room([room], "1", bool(keys))
        self.app: ASGIApp = admin.application([room, figures, description], ring, ("*",), sessions)

    def browser(self, address: str = "10.0.0.1") -> httpx.AsyncClient:
        """It keeps cookies, and says what browsers say."""
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url=OWN)


@pytest.fixture
def stand() -> Stand:
    return Stand(*KEYS)


async def sign_in_from(browser: httpx.AsyncClient, origin: str) -> httpx.Response:
    """On a page of this origin. The browser keeps only what it may."""
    return await browser.post(PATH, data={"key": "right"}, headers={"origin": origin})


async def enter(browser: httpx.AsyncClient, key: str = "right", query: str = "") -> httpx.Response:
    """As the form does."""
    return await browser.post(PATH + query, data={"key": key}, headers={"origin": OWN})


class Form(HTMLParser):
    """What a browser, or who cannot see, makes of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.alert = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][1].get("role") == "alert" and not self.alert:
            self.alert = data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class TestThePage:
    async def test_without_keys_it_is_there_for_everybody(self) -> None:
        async with Stand().browser() as browser:
            answer = await browser.get(PATH)
        assert (answer.status_code, answer.text) == (200, PAGE)

    async def test_with_keys_there_is_a_form_in_its_place(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            answer = await browser.get(PATH)
            assert (await browser.head(PATH)).status_code == 200
        assert answer.status_code == 200
        assert PAGE not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["vary"] == "Cookie"

    async def test_whoever_has_signed_in_sees_it(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            await enter(browser)
            answer = await browser.get(PATH)
            assert answer.text == PAGE
            assert answer.headers["vary"] == "Accept-Encoding, Cookie"
            again = await browser.get(PATH, headers={"if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.headers["vary"]) == (304, "Accept-Encoding, Cookie")

    async def test_so_does_whoever_sends_a_key(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            assert (await browser.get(PATH, headers={"x-api-key": "another"})).text == PAGE
            assert (await browser.get(PATH, headers={"x-api-key": "wrong"})).text != PAGE

    async def test_a_version_that_is_cached_does_not_hide_the_form(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            await enter(browser)
            etag = (await browser.get(PATH)).headers["etag"]
            browser.cookies.clear()
            answer = await browser.get(PATH, headers={"if-none-match": etag})
        assert answer.status_code == 200
        assert answer.text != PAGE

    @pytest.mark.parametrize("site", ["same-site", "cross-site", "none"])
    async def test_links_on_pages_elsewhere_lead_to_it(self, stand: Stand, site: str) -> None:
        """As far as the browser sends the cookie. What is behind it stays shut to those pages."""
        async with stand.browser() as browser:
            await enter(browser)
            fields = {"sec-fetch-site": site}
            assert (await browser.get(PATH, headers=fields)).text == PAGE
            assert (await browser.get("/figures", headers=fields)).status_code == (200 if site == "none" else 401)
            browser.cookies.clear()
            assert (await browser.get(PATH, headers=fields)).status_code == 200


class TestTheForm:
    async def test_people_and_their_browsers_can_use_it(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            form = Form((await browser.get(PATH)).text)
        assert form.all("html") == [{"lang": "en"}]
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in form.all("meta")
        user, field = form.all("input")
        assert user.keys() == {"type", "value", "autocomplete", "hidden"}, "for programs that keep keys; it is not sent"
        assert field.items() >= {
            ("name", "key"),
            ("type", "password"),
            ("autocomplete", "current-password"),
            ("autofocus", None),
        }
        assert form.all("label") == [{"for": field["id"]}]
        assert form.all("form") == [{"method": "post"}], "to where it stands, with its query"
        assert form.alert == ""

    async def test_it_keeps_to_its_policy(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            answer = await browser.get(PATH)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin", "else browsers hide the origin of what it sends"
        form = Form(answer.text)
        assert form.all("script") == form.all("style") == []
        names = {name for _, attributes in form.elements for name in attributes}
        assert not [name for name in names if name == "style" or name.startswith("on")]

    async def test_a_wrong_key_is_told_of(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            answer = await enter(browser, "<script>wrong")
            form = Form(answer.text)
            assert answer.status_code == 401
            assert "not one of the keys" in form.alert
            field = form.all("input")[1]
            assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "problem")
            assert "wrong" not in answer.text
            assert answer.headers["cache-control"] == "no-store"
            assert "set-cookie" not in answer.headers
            assert (await browser.get("/figures")).status_code == 401


class TestSigningIn:
    @pytest.mark.parametrize("key", [*KEYS, " right\r\n"])
    async def test_with_a_key_everything_is_there(self, stand: Stand, key: str) -> None:
        async with stand.browser() as browser:
            assert (await browser.get("/figures")).status_code == 401
            answer = await enter(browser, key)
            assert (answer.status_code, answer.headers["location"]) == (303, PATH)
            assert answer.headers["cache-control"] == "no-store"
            assert "right" not in answer.headers["set-cookie"]
            assert (await browser.get("/figures")).status_code == 200
            stand.clock.now += LASTS_SECONDS + 1
            assert (await browser.get("/figures")).status_code == 401

    async def test_without_keys_it_only_leads_on(self) -> None:
        async with Stand().browser() as browser:
            answer = await browser.post(PATH + "?a=1", data={"key": "x"})
        assert (answer.status_code, answer.headers["location"]) == (303, PATH + "?a=1")
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ("", 400),
            ("key", 401),
            ("key=", 401),
            ("key=right&key=right", 400),
            ("key=right&more=1", 400),
            ("Key=right", 400),
            ("&".join(["key=right"] * 11), 400),
            ("key=%FF%00", 401),
            ("key=" + "x" * (BODY_LIMIT_BYTES - 4), 401),
            ("key=" + "x" * (BODY_LIMIT_BYTES - 3), 413),
        ],
    )
    async def test_other_forms_are_none(self, stand: Stand, body: str, status: int) -> None:
        async with stand.browser() as browser:
            answer = await browser.post(PATH, content=body, headers=FORM_FIELDS)
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize("media", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
    async def test_only_forms_are_taken(self, stand: Stand, media: str) -> None:
        async with stand.browser() as browser:
            answer = await browser.post(PATH, content="key=right", headers={"content-type": media})
        assert answer.status_code == 415
        assert answer.json().keys() == {"error"}

    async def test_a_form_may_name_its_character_set(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            fields = {"content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}
            assert (await browser.post(PATH, content="key=right", headers=fields)).status_code == 303

    @pytest.mark.parametrize("origin", ["http://box.lan:3000", "http://evil.example", "null"])
    async def test_other_pages_cannot_sign_a_browser_in_or_out(self, stand: Stand, origin: str) -> None:
        async with stand.browser() as browser:
            answer = await browser.post(PATH, data={"key": "right"}, headers={"origin": origin})
            assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
            await enter(browser)
            assert (await browser.post(OUT_PATH, headers={"origin": origin})).status_code == 403
            assert (await browser.get("/figures")).status_code == 200

    async def test_who_came_over_tls_before_can_come_without(self, stand: Stand) -> None:
        """Browsers let no page without TLS overwrite a cookie that is `Secure` (RFC 6265bis): by one name, whoever
        enters the right key there would get the form again."""
        async with stand.browser() as browser:
            over_tls = (await sign_in_from(browser, OWN_TLS)).headers["set-cookie"].partition("=")[0]
            answer = await sign_in_from(browser, OWN)
            assert answer.headers["set-cookie"].partition("=")[0] != over_tls
            assert (await browser.get(PATH)).text == PAGE

    async def test_what_came_over_tls_is_not_for_a_page_without(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            cookie = (await sign_in_from(browser, OWN_TLS)).headers["set-cookie"].partition(";")[0]
            for origin, status in ((OWN_TLS, 200), (OWN, 401)):
                told = {"cookie": cookie, "origin": origin}
                assert (await browser.get("/figures", headers=told)).status_code == status
            assert (await browser.get("/figures", headers={"cookie": cookie})).status_code == 200


class TestTheWayBack:
    @pytest.mark.parametrize(
        "query",
        ["section=requests&model=a%2Fb", "q=%C3%A4+b", "//evil.example", "https://evil.example/", "\\evil", "?"],
    )
    async def test_what_was_looked_at_is_looked_at_again(self, stand: Stand, query: str) -> None:
        async with stand.browser() as browser:
            location = (await enter(browser, query=f"?{query}")).headers["location"]
            target = browser.base_url.join(location)
        assert (target.host, urlsplit(location).netloc, urlsplit(location).path) == ("box.lan", "", PATH)
        assert location == f"{PATH}?{query}".replace("\\", "%5C")

    @pytest.mark.parametrize("path", ["//evil.example/monitoring", "//monitoring", "/monitoring/", "//evil.example"])
    async def test_no_other_path_signs_in(self, stand: Stand, path: str) -> None:
        async with serving(stand.app) as running, await running.connect() as client:
            await client.send(raw_ask("POST", path, ("Content-Type", FORM), body=b"key=right"))
            status, fields = await client.head()
        assert status in (401, 404)
        assert b"location" not in {name.lower() for name, _ in fields}

    @pytest.mark.parametrize("query", ["a%0d%0aSet-Cookie:%20x=1", "a%0aLocation:%20//evil", 'a"<>|{}', "%", "%zz"])
    async def test_no_field_comes_in_by_the_query(self, stand: Stand, query: str) -> None:
        async with serving(stand.app) as running, await running.connect() as client:
            sent = raw_ask("POST", f"{PATH}?{query}", ("Content-Type", FORM), body=b"key=right")
            status, fields, _ = await client.exchange(sent)
        assert status == 303
        values = [value for name, value in fields if name.lower() == b"location"]
        assert len(values) == 1
        assert re.fullmatch(rb"/monitoring\?[!-~]*", values[0])
        assert not set(values[0]) & set(b'"<>|{}\\')
        assert sum(name.lower() == b"set-cookie" for name, _ in fields) == 1

    async def test_nor_where_a_server_leaves_other_bytes_in_it(self, stand: Stand) -> None:
        """Ours does not; the answer does not depend on it."""
        headers = [(b"content-type", FORM.encode()), (b"host", HOST.encode())]
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": PATH, "headers": headers}
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"key=right"}

        async def send(message: Message) -> None:
            sent.append(message)

        await stand.app({**scope, "query_string": b"a\r\nb: c\xe4"}, receive, send)
        assert dict(sent[0]["headers"])[b"location"] == b"/monitoring?a%0D%0Ab:%20c%E4"


class TestAttempts:
    async def test_an_address_has_five_a_minute(self, stand: Stand) -> None:
        async with stand.browser() as browser, stand.browser("10.0.0.2") as other:
            assert [(await enter(browser, "wrong")).status_code for _ in range(6)] == [401] * 5 + [429]
            stand.clock.now += 20.5
            answer = await enter(browser)
            assert answer.status_code == 429, "a right key as well: else one could go on guessing"
            assert answer.headers["retry-after"] == "40"
            assert "40 s" in Form(answer.text).alert
            assert "set-cookie" not in answer.headers
            assert (await enter(other)).status_code == 303
            assert (await browser.get("/figures", headers={"x-api-key": "right"})).status_code == 200
            stand.clock.now += 39.5
            assert (await enter(browser)).status_code == 303

    async def test_a_network_counts_as_one_address(self, stand: Stand) -> None:
        statuses = []
        for number in range(6):
            async with stand.browser(f"2001:db8::{number + 1}") as browser:
                statuses.append((await enter(browser, "wrong")).status_code)
        assert statuses == [401] * 5 + [429]

    async def test_only_failures_count(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            assert [(await enter(browser)).status_code for _ in range(20)] == [303] * 20
            await browser.post(PATH, content="nothing", headers=FORM_FIELDS)
            assert [(await enter(browser, "wrong")).status_code for _ in range(6)] == [401] * 5 + [429]
            assert (await enter(browser, "wrong")).headers["retry-after"] == "60", "refusals do not prolong it"

    async def test_all_together_have_sixty(self, stand: Stand) -> None:
        statuses = []
        for number in range(61):
            async with stand.browser(f"10.0.1.{number}") as browser:
                statuses.append((await enter(browser, "wrong")).status_code)
        assert statuses == [401] * 60 + [429]
        async with stand.browser("10.0.2.1") as browser:
            assert (await enter(browser)).status_code == 429
            stand.clock.now += 60
            assert (await enter(browser)).status_code == 303

    async def test_an_address_that_is_over_its_own_limit_does_not_use_up_the_common_one(self, stand: Stand) -> None:
        async with stand.browser() as browser, stand.browser("10.0.0.2") as other:
            for _ in range(100):
                await enter(browser, "wrong")
            assert (await enter(other)).status_code == 303


class TestSigningOut:
    async def test_the_browser_forgets(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            await enter(browser)
            answer = await browser.post(OUT_PATH, headers={"origin": OWN})
            assert (answer.status_code, answer.headers["location"]) == (303, PATH)
            assert (await browser.get("/figures")).status_code == 401
            assert (await browser.get(PATH)).text != PAGE

    async def test_both_sessions_of_a_browser_end(self, stand: Stand) -> None:
        """It has signed in behind a reverse proxy, too."""
        async with stand.browser() as browser:
            held = [(await sign_in_from(browser, origin)).headers["set-cookie"] for origin in (OWN_TLS, OWN)]
            told = {"cookie": "; ".join(each.partition(";")[0] for each in held)}
            answer = await browser.post(OUT_PATH, headers={"origin": OWN, **told})
        names = [each.partition("=")[0] for each in answer.headers.get_list("set-cookie")]
        assert sorted(names) == sorted(each.partition("=")[0] for each in held)

    async def test_who_has_no_session_is_told_nothing(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            answer = await browser.post(OUT_PATH)
        assert (answer.status_code, "set-cookie" in answer.headers) == (303, False)

    async def test_it_is_no_link(self, stand: Stand) -> None:
        async with stand.browser() as browser:
            assert (await browser.get(OUT_PATH)).status_code == 405


async def test_it_is_described(stand: Stand) -> None:
    async with stand.browser() as browser:
        paths = (await browser.get("/openapi.json", headers={"x-api-key": "right"})).json()["paths"]
    posted = paths[PATH]["post"]
    assert posted["requestBody"]["content"].keys() == {FORM}
    assert posted["responses"].keys() == {"303", "400", "401", "403", "405", "408", "413", "415", "429", "500"}
    assert "content" not in posted["responses"]["303"]
    assert all(each["security"] == [] for each in (paths[PATH]["get"], posted, paths[OUT_PATH]["post"]))


async def test_a_cookie_goes_through_a_real_server(stand: Stand) -> None:
    async with serving(stand.app) as running, httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}") as browser:
        own = {"origin": str(browser.base_url).rstrip("/")}
        signed_in = await browser.post(f"{PATH}?a=1", data={"key": "right"}, headers=own, follow_redirects=True)
        assert (signed_in.text, signed_in.url.query) == (PAGE, b"a=1")
        assert (await browser.get("/figures")).status_code == 200
        other_port = {"origin": f"http://127.0.0.1:{running.port + 1}"}
        assert (await browser.get("/figures", headers=other_port)).status_code == 401
