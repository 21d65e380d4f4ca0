"""What holds for every room: keys, foreign pages, forms of errors, methods."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from exporter.api import admin
from exporter.api.operation import Answer, Operation
from exporter.api.room import Room
from exporter.api.sessions import Sessions
from exporter.asgi import ASGIApp, Receive, Scope, Send
from exporter.keys import KeyRing
from tests.proxy.harness import ask as raw_ask
from tests.serving import HANDSHAKE, serving

PAGE = "https://page.example"


async def read(request: Request) -> Response:
    return JSONResponse({"method": request.method})


async def fail(_: Request) -> Response:
    raise RuntimeError("a secret")


def refuse_plainly(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def refuse_deeply(status: int, message: str) -> Response:
    return JSONResponse({"detail": message}, status)


OK = {200: Answer("What was asked for", dict[str, str])}
ROOMS = [
    Room(
        "outer",
        "",
        (
            Operation("GET", "/a", read, "get_a", "", OK),
            Operation("POST", "/a", read, "post_a", "", OK),
            Operation("GET", "/a/fail", fail, "get_fail", "", OK),
            Operation("GET", "/open", read, "get_open", "", OK, open=True),
        ),
        places=("/a", "/a/"),
        refuse=refuse_plainly,
    ),
    Room("inner", "", places=("/a/b/",), refuse=refuse_deeply),
]


async def ask(
    method: str,
    path: str,
    *,
    keys: Sequence[str] = (),
    origins: Sequence[str] = ("*",),
    headers: Mapping[str, str] | None = None,
    sessions: Sessions | None = None,
) -> httpx.Response:
    app = admin.application(ROOMS, KeyRing(keys), origins, sessions)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        return await client.request(method, path, headers=headers)


async def serve_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


async def knock(
    path: str, keys: Sequence[str] = (), *told: tuple[str, str], sessions: Sessions | None = None
) -> tuple[int, bytes]:
    """The status and the body that a WebSocket's handshake is answered with."""
    rooms = [*ROOMS, Room("live", "", sockets=(WebSocketRoute("/a/live", serve_socket),))]
    app = admin.application(rooms, KeyRing(keys), sessions=sessions)
    async with serving(app) as running, await running.connect() as client:
        await client.send(raw_ask("GET", path, *HANDSHAKE, *told))
        status, fields = await client.head()
        return status, b"" if status == 101 else await client.body(fields)


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "document"),
        [
            ("/a/nope", {"error": "no such path: /a/nope"}),
            ("/a/live/", {"error": "no such path: /a/live/"}),
            ("/a/b/nope", {"detail": "no such path: /a/b/nope"}),
            ("/a", {"error": "no such path: /a"}),
            ("/nope", {"error": {"code": 404, "message": "no such path: /nope"}}),
        ],
    )
    async def test_there_is_no_such_websocket(self, path: str, document: object) -> None:
        status, body = await knock(path)
        assert (status, json.loads(body)) == (404, document)

    async def test_there_is_such_a_websocket(self) -> None:
        assert (await knock("/a/live"))[0] == 101

    async def test_keys_come_before_paths(self) -> None:
        assert (await knock("/a/nope", keys=["right"]))[0] == 401

    @pytest.mark.parametrize("path", ["/a/", "/open/", "/a/fail/"])
    async def test_a_slash_too_many_is_another_path(self, path: str) -> None:
        """Not a redirection, whose target would be what the client calls this host."""
        answer = await ask("GET", path, headers={"host": "evil.example"})
        assert (answer.status_code, "location" in answer.headers) == (404, False)
        assert f"no such path: {path}" in answer.text

    @pytest.mark.parametrize(
        ("path", "document"),
        [
            ("/a/nope", {"error": "no such path: /a/nope"}),
            ("/a/b/nope", {"detail": "no such path: /a/b/nope"}),
            ("/nope", {"error": {"code": 404, "message": "no such path: /nope"}}),
        ],
    )
    async def test_the_longest_place_decides_on_the_form(self, path: str, document: object) -> None:
        answer = await ask("GET", path)
        assert (answer.status_code, answer.json()) == (404, document)

    async def test_a_failure_is_told_in_the_rooms_form_without_its_cause(self) -> None:
        answer = await ask("GET", "/a/fail")
        assert answer.status_code == 500
        assert answer.json() == {"error": admin.FAILED}

    async def test_a_method_that_a_path_does_not_have(self) -> None:
        answer = await ask("DELETE", "/a")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"
        assert set(answer.json()) == {"error"}

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_each_method_has_its_handler(self, method: str) -> None:
        assert (await ask(method, "/a")).json() == {"method": method}

    async def test_head_is_answered_like_get(self) -> None:
        assert (await ask("HEAD", "/a")).status_code == 200


class TestKeys:
    async def test_without_a_key_nothing_but_what_is_open(self) -> None:
        answer = await ask("GET", "/a", keys=["k"])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert set(answer.json()) == {"error"}, "in the room's form"
        assert (await ask("GET", "/open", keys=["k"])).status_code == 200
        assert (await ask("GET", "/a/b/", keys=["k"])).json().keys() == {"detail"}

    @pytest.mark.parametrize(
        "header", [{"x-api-key": "k"}, {"authorization": "Bearer k"}, {"authorization": "bEARER k"}]
    )
    async def test_with_a_key_everything(self, header: dict[str, str]) -> None:
        assert (await ask("GET", "/a", keys=["other", "k"], headers=header)).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"x-api-key": "wrong", "authorization": "Bearer k"}, 401),
            ({"x-api-key": "k", "authorization": "Bearer wrong"}, 200),
            ({"x-api-key": "", "authorization": "Bearer k"}, 200),
        ],
    )
    async def test_x_api_key_goes_first(self, headers: dict[str, str], status: int) -> None:
        assert (await ask("GET", "/a", keys=["k"], headers=headers)).status_code == status


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return Sessions(["k"])


def cookie(sessions: Sessions) -> str:
    """As a browser sends it."""
    response = Response()
    sessions.set_cookie(response, {"type": "http", "headers": []})
    return response.headers["set-cookie"].partition(";")[0]


class TestSessions:
    @pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"authorization": "Basic dTpw"}])
    async def test_one_is_taken_in_place_of_a_key(self, sessions: Sessions, headers: dict[str, str]) -> None:
        told = {"cookie": cookie(sessions), **headers}
        assert (await ask("GET", "/a", keys=["k"], headers=told, sessions=sessions)).status_code == 200
        assert (await ask("GET", "/a", keys=["k"], headers=headers, sessions=sessions)).status_code == 401
        assert (await ask("GET", "/a", keys=["k"], headers=told)).status_code == 401, "where there are none"

    @pytest.mark.parametrize("headers", [{"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}])
    async def test_a_key_that_is_presented_counts_alone(self, sessions: Sessions, headers: dict[str, str]) -> None:
        told = {"cookie": cookie(sessions), **headers}
        assert (await ask("GET", "/a", keys=["k"], headers=told, sessions=sessions)).status_code == 401

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"origin": "http://box.lan:9464"}, 200),
            ({"origin": "http://box.lan:3000"}, 403),
            ({"origin": "null"}, 403),
            ({}, 401),
            ({"sec-fetch-site": "same-site"}, 401),
        ],
    )
    async def test_only_our_own_pages_change_anything(
        self, sessions: Sessions, headers: dict[str, str], status: int
    ) -> None:
        told = {"cookie": cookie(sessions), "host": "box.lan:9464", **headers}
        assert (await ask("POST", "/a", keys=["k"], headers=told, sessions=sessions)).status_code == status

    async def test_pages_that_are_named_need_a_key(self, sessions: Sessions) -> None:
        told = {"cookie": cookie(sessions), "origin": PAGE}
        for method in ("GET", "POST"):
            answer = await ask(method, "/a", keys=["k"], origins=[PAGE], headers=told, sessions=sessions)
            assert answer.status_code == 401
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.parametrize(
        ("origin", "status"),
        [("http://sidecar.test", 101), ("http://sidecar.test:3000", 401), ("http://evil.example", 401), ("null", 401)],
    )
    async def test_websockets_of_our_own_pages(self, sessions: Sessions, origin: str, status: int) -> None:
        fields = ("Cookie", cookie(sessions)), ("Origin", origin)
        assert (await knock("/a/live", ["k"], *fields, sessions=sessions))[0] == status
        assert (await knock("/a/live", ["k"], fields[1], sessions=sessions))[0] == 401
        assert (await knock("/a/live", ["k"], fields[0], sessions=sessions))[0] == 401


class TestForeignPages:
    async def test_any_page_may_read(self) -> None:
        answer = await ask("GET", "/a", headers={"origin": PAGE})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers

    async def test_a_page_asks_first_without_a_key(self) -> None:
        asked = {"origin": PAGE, "access-control-request-method": "GET", "access-control-request-headers": "x-api-key"}
        answer = await ask("OPTIONS", "/a", keys=["k"], headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-api-key" in answer.headers["access-control-allow-headers"].lower()

    async def test_no_page_may_change_anything(self) -> None:
        refused = await ask("POST", "/a", headers={"origin": PAGE, "content-type": "text/plain"})
        assert refused.status_code == 403
        assert "admin.cors_origins" in refused.json()["error"]
        asked = {"origin": PAGE, "access-control-request-method": "POST"}
        assert (await ask("OPTIONS", "/a", headers=asked)).status_code == 400

    async def test_a_page_that_is_named_may(self) -> None:
        answer = await ask("POST", "/a", origins=[PAGE], headers={"origin": PAGE})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        asked = {"origin": PAGE, "access-control-request-method": "POST"}
        assert (await ask("OPTIONS", "/a", origins=["*", PAGE], headers=asked)).status_code == 200

    @pytest.mark.parametrize("host", ["127.0.0.1:9464", "localhost:9464", "[::1]:9464", "192.168.1.7"])
    async def test_our_own_pages_may(self, host: str) -> None:
        answer = await ask("POST", "/a", origins=[], headers={"origin": f"http://{host}", "host": host})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers

    async def test_a_name_that_leads_here_makes_no_page_ours(self) -> None:
        """Anybody can give this machine's address a name (DNS rebinding); with keys that is of no use."""
        rebound = {"origin": "http://evil.example:9464", "host": "evil.example:9464"}
        assert (await ask("POST", "/a", headers=rebound)).status_code == 403
        assert (await ask("POST", "/a", keys=["k"], headers={**rebound, "x-api-key": "k"})).status_code == 200

    @pytest.mark.parametrize("origin", ["http://[", "://", "x", "http://a b", "http://[::1"])
    async def test_an_origin_that_is_none_is_foreign(self, origin: str) -> None:
        assert (await ask("GET", "/a", headers={"origin": origin})).status_code == 200
        assert (await ask("POST", "/a", headers={"origin": origin})).status_code == 403

    async def test_pages_that_may_not_read_are_told_nothing(self) -> None:
        answer = await ask("GET", "/a", origins=["https://other.example"], headers={"origin": PAGE})
        assert "access-control-allow-origin" not in answer.headers

    async def test_a_sandboxed_page_has_no_origin_and_changes_nothing(self) -> None:
        assert (await ask("POST", "/a", headers={"origin": "null"})).status_code == 403

    async def test_who_is_no_page_is_not_asked(self) -> None:
        assert (await ask("POST", "/a", origins=[])).status_code == 200


class Counting:
    """A gate that lets the first request pass."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        await (app if len(self.paths) == 1 else refuse_plainly(429, "too many"))(scope, receive, send)


async def test_a_gate_stands_before_all_that_is_in_the_places_of_its_room() -> None:
    gate = Counting()
    outer, inner = ROOMS
    rooms = [replace(outer, gate=gate), replace(inner, gate=None)]
    transport = httpx.ASGITransport(admin.application(rooms, KeyRing(["k"])), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        assert (await client.get("/a")).status_code == 401, "keys come first"
        key = {"x-api-key": "k"}
        statuses = [(await client.get(path, headers=key)).status_code for path in ("/a", "/a/nope", "/a/b/nope", "/no")]
        assert (await client.put("/a", headers=key)).status_code == 429
    assert statuses == [200, 429, 404, 404]
    assert gate.paths == ["/a", "/a/nope", "/a"]
