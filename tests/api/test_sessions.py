"""Sessions: what a cookie is worth, from whom, and for how long."""

from __future__ import annotations

import hashlib
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
OWN_TLS = f"https://{HOST}"


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


def cookie(sessions: Sessions, origin: str = OWN) -> str:
    """As the browser sends it that has signed in on a page of this origin."""
    response = Response()
    sessions.set_cookie(response, scope(origin=origin))
    return response.headers["set-cookie"].partition(";")[0]


def name_of(sessions: Sessions, origin: str = OWN) -> str:
    return cookie(sessions, origin).partition("=")[0]


class Forger(TimestampSigner):
    """Makes what we make, as far as the secret goes."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        super().__init__(secret, salt=b"session", key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock.wall())

    def cookie(self, name: str) -> str:
        return f"{name}={self.sign(b'tls' if name.startswith('__Host-') else b'plain').decode()}"


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
        renamed = f"{name_of(after)}={cookie(before).partition('=')[2]}"
        assert not after.admits(scope(renamed)), "nor under another name"

    @pytest.mark.parametrize("origin", [OWN, OWN_TLS])
    def test_not_one_that_others_have_made(self, clock: Clock, origin: str) -> None:
        """They can read here how it is done, but each guess at the keys must cost them."""
        sessions = make(clock, "one", "two")
        right = hashlib.scrypt(b"one\ntwo", salt=b"llama-exporter sessions", n=2**14, r=8, p=1, dklen=32)
        name = name_of(sessions, origin)
        assert sessions.admits(scope(Forger(right, clock).cookie(name))), "else the rest shows nothing"
        cheaper = hashlib.scrypt(b"one\ntwo", salt=b"llama-exporter sessions", n=2**4, r=8, p=1, dklen=32)
        wrong = (b"one\ntwo", b"onetwo", b"two\none", b"one", b"two", b"", hashlib.sha256(b"one\ntwo").digest())
        for secret in (*wrong, cheaper, right[:-1], right.hex().encode()):
            assert not sessions.admits(scope(Forger(secret, clock).cookie(name))), secret

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

    def test_names_are_not_taken_for_each_other(self, clock: Clock) -> None:
        """A page without TLS can copy what it sees, but not have it sent under the name that only TLS can set."""
        sessions = make(clock)
        plain, secure = (cookie(sessions, origin).partition("=") for origin in (OWN, OWN_TLS))
        assert secure[0] == f"__Host-{plain[0]}"
        assert not sessions.holds(scope(f"{secure[0]}={plain[2]}"))
        assert not sessions.holds(scope(f"{plain[0]}={secure[2]}"))


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

    def test_websockets_of_other_sites_do_not_where_browsers_say_so(self, clock: Clock) -> None:
        """A page of this host without TLS is one of another site, for a browser, than the same with it."""
        sessions = make(clock)
        knocking = scope(cookie(sessions), kind="websocket", origin=OWN, sec_fetch_site="cross-site")
        assert not sessions.admits(knocking)
        for site in ("same-origin", "same-site", "none"):
            asked = scope(cookie(sessions), kind="websocket", origin=OWN, sec_fetch_site=site)
            assert sessions.admits(asked), "the origin says enough"

    @pytest.mark.parametrize(
        ("kind", "method"), [("http", "GET"), ("http", "POST"), ("http", "DELETE"), ("websocket", "")]
    )
    def test_what_began_over_tls_is_not_for_pages_without(self, clock: Clock, kind: str, method: str) -> None:
        """Anybody on the way can make up such a page of this host, and not all browsers keep the cookie back."""
        sessions = make(clock)
        for held in (cookie(sessions, OWN_TLS), f"{cookie(sessions, OWN_TLS)}; {name_of(sessions)}=plain.x.y"):
            assert sessions.admits(scope(held, kind=kind, method=method, origin=OWN_TLS))
            for origin in (OWN, f"ftp://{HOST}", f"wss://{HOST}"):
                assert not sessions.admits(scope(held, kind=kind, method=method, origin=origin))
            either = scope(held, kind=kind, method=method, origin=OWN_TLS)
            either["headers"].append((b"origin", OWN.encode()))
            assert not sessions.admits(either)
        both = f"{cookie(sessions, OWN_TLS)}; {cookie(sessions)}"
        assert sessions.admits(scope(both, kind=kind, method=method, origin=OWN)), "that has begun there"

    def test_reading_a_page_names_no_origin(self, clock: Clock) -> None:
        sessions = make(clock)
        held = cookie(sessions, OWN_TLS)
        assert sessions.admits(scope(held))
        assert sessions.admits(scope(held, sec_fetch_site="same-origin"))
        assert not sessions.admits(scope(held, sec_fetch_site="cross-site"))

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
        (morsel,) = SimpleCookie(response.headers["set-cookie"]).values()
        assert re.fullmatch(r"__Host-llama_exporter_[0-9a-f]{8}", morsel.key)
        assert (morsel["secure"], morsel["path"], morsel["domain"]) == (True, "/", ""), "else browsers do not take it"
        assert (morsel["httponly"], morsel["samesite"], morsel["max-age"]) == (True, "strict", str(LASTS_SECONDS))

    def test_a_page_without_tls_gets_one_that_it_can_keep(self, clock: Clock) -> None:
        """However its request has come to us."""
        asked = scope(origin=OWN) | {"scheme": "https"}
        response = Response()
        make(clock).set_cookie(response, asked)
        assert response.headers["set-cookie"].startswith("llama_exporter_")

    @pytest.mark.parametrize("origins", [(OWN,), (OWN_TLS,), (OWN, OWN_TLS)])
    @pytest.mark.parametrize("leaving", [OWN, OWN_TLS])
    def test_those_that_are_there_are_unset(self, clock: Clock, origins: tuple[str, ...], leaving: str) -> None:
        """All, from either page: one that is left would sign the browser in again."""
        sessions = make(clock)
        response = Response()
        held = [cookie(sessions, origin) for origin in origins]
        sessions.unset_cookie(response, scope("; ".join(held), method="POST", origin=leaving))
        unset = [morsel for each in response.headers.getlist("set-cookie") for morsel in SimpleCookie(each).values()]
        assert sorted(morsel.key for morsel in unset) == sorted(each.partition("=")[0] for each in held)
        for morsel in unset:
            assert (morsel.value, morsel["max-age"]) == ("", "0")
            assert (morsel["path"], morsel["samesite"], morsel["httponly"]) == ("/", "strict", True)
            assert bool(morsel["secure"]) is morsel.key.startswith("__Host-"), "else browsers do not take it"

    def test_who_has_none_is_told_no_name(self, clock: Clock) -> None:
        """It is made of the keys."""
        sessions = make(clock)
        for said in ("", f"{name_of(sessions)}=plain.x.y", f"{name_of(sessions, OWN_TLS)}=tls.x.y"):
            response = Response()
            sessions.unset_cookie(response, scope(said))
            assert "set-cookie" not in response.headers

    def test_no_key_is_in_it(self, clock: Clock) -> None:
        assert "geheim" not in cookie(make(clock, "geheim"))
