"""Sessions: what a cookie is worth, from whom, and for how long."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from starlette.responses import Response

from exporter.api.sessions import COOKIES, LASTS_SECONDS, Sessions
from tests.api.views import Clock

HOST = "box.lan:9464"
OTHER_PORT = "http://box.lan:3000"
OWN = f"http://{HOST}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, *keys: str) -> Sessions:
    return Sessions(keys or ("one", "two"), wall=clock.wall)


def scope(*cookies: str, method: str = "GET", kind: str = "http", **fields: str) -> dict[str, Any]:
    """That of a request with these cookie fields; `fields` with underscores."""
    told = {"host": HOST, **{name.replace("_", "-"): value for name, value in fields.items()}}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    headers += [(b"cookie", each.encode("latin-1")) for each in cookies]
    request = {"type": kind, "path": "/", "headers": headers, "scheme": "http" if kind == "http" else "ws"}
    return request | {"method": method} if kind == "http" else request


def name_of(sessions: Sessions) -> str:
    response = Response()
    sessions.set_cookie(response, scope())
    return response.headers["set-cookie"].partition("=")[0]


def cookie(sessions: Sessions) -> str:
    """As the browser sends it."""
    response = Response()
    sessions.set_cookie(response, scope())
    return response.headers["set-cookie"].partition(";")[0]


class TestWhichCookiesAreValid:
    def test_one_that_was_set(self, clock: Clock) -> None:
        sessions = make(clock)
        assert sessions.admits(scope(cookie(sessions)))
        assert not sessions.admits(scope())

    def test_for_so_long(self, clock: Clock) -> None:
        sessions = make(clock)
        held = cookie(sessions)
        clock.now += LASTS_SECONDS
        assert sessions.admits(scope(held))
        clock.now += 1
        assert not sessions.admits(scope(held))

    def test_not_before_it_was_made(self, clock: Clock) -> None:
        sessions = make(clock)
        held = cookie(sessions)
        clock.now -= 60
        assert not sessions.admits(scope(held))

    def test_after_a_restart_and_with_the_keys_in_another_order(self, clock: Clock) -> None:
        held = cookie(make(clock, "one", "two"))
        assert make(clock, "one", "two").admits(scope(held))
        assert make(clock, "two", " one ", "two").admits(scope(held))

    @pytest.mark.parametrize("keys", [("one",), ("one", "two", "three"), ("onetwo",), ("one\ntwo2",), ("one", "Two")])
    def test_not_after_a_change_of_keys(self, clock: Clock, keys: tuple[str, ...]) -> None:
        before, after = make(clock, "one", "two"), make(clock, *keys)
        assert not after.admits(scope(cookie(before)))
        renamed = f"{name_of(after)}={before.begin()}"
        assert not after.admits(scope(renamed)), "nor under another name"

    def test_not_one_that_others_have_made(self, clock: Clock) -> None:
        sessions = make(clock)
        for secret in ("one", "two", "one\ntwo", ""):
            forged = TimestampSigner(secret or "x", salt=b"session", key_derivation="hmac").sign(b"1").decode()
            assert not sessions.admits(scope(f"{name_of(sessions)}={forged}"))

    def test_not_one_that_was_changed(self, clock: Clock) -> None:
        sessions = make(clock)
        name, _, value = cookie(sessions).partition("=")
        for place in range(len(value)):
            assert not sessions.admits(scope(f"{name}={value[:place]}")), "cut off"
            other = "A" if value[place] != "A" else "z"
            if place < len(value) - 1:  # the last character has bits that no byte has
                assert not sessions.admits(scope(f"{name}={value[:place]}{other}{value[place + 1 :]}"))
        word, when, signature = value.split(".")
        assert not sessions.admits(scope(f"{name}={word}.zzzzzz.{signature}"))
        assert not sessions.admits(scope(f"{name}=2.{when}.{signature}"))

    @pytest.mark.parametrize(
        "garbage",
        ["", ";;;", "=", "a", "a=b=c; =; ", "\xff\xfe=\xff", '{}="', "{}", "{}=", "{}=..", "{}=a.\xff.b", "{}=."],
    )
    def test_garbage_is_none_and_hides_none(self, clock: Clock, garbage: str) -> None:
        sessions = make(clock)
        said = garbage.replace("{}", name_of(sessions))
        assert not sessions.admits(scope(said))
        held = cookie(sessions)
        assert sessions.admits(scope(f"{said}; {held}"))
        assert sessions.admits(scope(f"{held};{said}"))
        assert sessions.admits(scope(said, held)), "in a field of its own"

    def test_any_of_several_counts_within_what_a_browser_can_have(self, clock: Clock) -> None:
        sessions = make(clock)
        name, _, value = cookie(sessions).partition("=")
        old = "; ".join(f"{name}=1.old{number}.x" for number in range(COOKIES - 1))
        assert sessions.admits(scope(f"{old}; {name}={value}"))
        assert not sessions.admits(scope(f"{old}; {name}=x; {name}={value}"))

    def test_sidecars_of_other_keys_do_not_overwrite_each_others(self, clock: Clock) -> None:
        first, second = make(clock, "one"), make(clock, "two")
        assert name_of(first) != name_of(second)
        both = scope(f"{cookie(first)}; {cookie(second)}")
        assert first.admits(both)
        assert second.admits(both)


class TestWithoutKeys:
    def test_there_are_none(self, clock: Clock) -> None:
        open_to_all = Sessions((), wall=clock.wall)
        assert not open_to_all
        assert make(clock)
        assert not open_to_all.admits(scope(cookie(Sessions((), wall=clock.wall)))), "nothing is known of its secret"


class TestWhoseRequestsPass:
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"origin": OWN},
            {"origin": f"https://{HOST}"},
            {"sec_fetch_site": "same-origin"},
            {"sec_fetch_site": "none"},
            {"origin": OWN, "sec_fetch_site": "same-origin"},
        ],
    )
    def test_those_of_our_own_pages(self, clock: Clock, fields: dict[str, str]) -> None:
        sessions = make(clock)
        assert sessions.admits(scope(cookie(sessions), **fields))

    @pytest.mark.parametrize(
        "fields",
        [
            {"origin": OTHER_PORT},
            {"origin": "http://evil.example"},
            {"origin": "http://box.lan"},
            {"origin": "null"},
            {"origin": HOST},
            {"origin": ""},
            {"host": "", "origin": "http://"},
            {"sec_fetch_site": "same-site"},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": ""},
            {"origin": OWN, "sec_fetch_site": "same-site"},
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_not_those_of_other_pages(self, clock: Clock, method: str, fields: dict[str, str]) -> None:
        """Those of another port are of the same site for a browser, which sends the cookie."""
        sessions = make(clock)
        asked = scope(cookie(sessions), method=method, **fields)
        assert not sessions.admits(asked)
        assert sessions.holds(asked)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_what_changes_something_names_its_page(self, clock: Clock, method: str) -> None:
        sessions = make(clock)
        held = cookie(sessions)
        assert not sessions.admits(scope(held, method=method))
        assert not sessions.admits(scope(held, method=method, sec_fetch_site="same-origin"))
        assert sessions.admits(scope(held, method=method, origin=OWN))

    def test_so_do_websockets(self, clock: Clock) -> None:
        sessions = make(clock)
        held = cookie(sessions)
        assert sessions.admits(scope(held, kind="websocket", origin=OWN))
        assert not sessions.admits(scope(held, kind="websocket"))
        assert not sessions.admits(scope(held, kind="websocket", origin=OTHER_PORT))
        assert not sessions.admits(scope(kind="websocket", origin=OWN))

    def test_every_origin_must_be_ours(self, clock: Clock) -> None:
        sessions = make(clock)
        asked = scope(cookie(sessions), origin=OWN)
        asked["headers"].append((b"origin", OTHER_PORT.encode()))
        assert not sessions.admits(asked)


class TestWhatBrowsersAreTold:
    def test_the_cookie(self, clock: Clock) -> None:
        response = Response()
        make(clock).set_cookie(response, scope())
        (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
        assert re.fullmatch(r"llama_exporter_[0-9a-f]{8}", morsel.key)
        assert (morsel["path"], morsel["samesite"], morsel["max-age"]) == ("/", "strict", str(LASTS_SECONDS))
        assert morsel["httponly"] is True
        assert not morsel["secure"]
        assert not morsel["domain"], "this host alone"

    @pytest.mark.parametrize("over", ["scheme", "origin"])
    def test_over_tls_it_stays_there(self, clock: Clock, over: str) -> None:
        """A reverse proxy ends TLS, so the scheme that we see is not what the browser sees."""
        asked = scope(origin=f"https://{HOST}") if over == "origin" else scope() | {"scheme": "https"}
        response = Response()
        make(clock).set_cookie(response, asked)
        assert "; secure" in response.headers["set-cookie"].lower()

    def test_it_is_unset(self, clock: Clock) -> None:
        sessions = make(clock)
        response = Response()
        sessions.unset_cookie(response, scope(cookie(sessions), method="POST", origin=OWN))
        (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
        assert (morsel.key, morsel.value, morsel["max-age"]) == (name_of(sessions), "", "0")
        assert (morsel["path"], morsel["samesite"], morsel["httponly"]) == ("/", "strict", True)

    def test_who_has_none_is_told_no_name(self, clock: Clock) -> None:
        """It is made of the keys."""
        sessions = make(clock)
        for said in ("", f"{name_of(sessions)}=1.x.y"):
            response = Response()
            sessions.unset_cookie(response, scope(said))
            assert "set-cookie" not in response.headers

    def test_no_key_is_in_it(self, clock: Clock) -> None:
        assert "geheim" not in cookie(make(clock, "geheim"))
