"""Signing in on `/monitoring`: the form, what it sends, and signing out. The room has these beside its operations."""

from __future__ import annotations

from html import escape
from string import Template
from urllib.parse import parse_qs, quote

from pydantic import with_config
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from exporter.api.documents import read_body
from exporter.api.files import File
from exporter.api.monitoring.attempts import Attempts
from exporter.api.monitoring.documents import Failure
from exporter.api.monitoring.page import HEADERS, HTML, PATH, read_page
from exporter.api.operation import FORM, Answer, Operation
from exporter.api.sessions import LASTS_DAYS, Sessions
from exporter.keys import CHALLENGE, KeyRing

OUT_PATH = f"{PATH}/sign-out"
BODY_LIMIT_BYTES = 4 << 10
NOT_STORED = {"cache-control": "no-store"}
QUERY_CHARACTERS = "!$%&'()*+,-./:;=?@_~"
"""What may stand in a query (RFC 3986, 3.4), beside letters and digits; anything else is escaped."""

WRONG = "This is not one of the keys of this sidecar. Look the key up in its settings, and try again."
TOO_OFTEN = "Too many wrong keys were entered. Try again in {seconds} s; before, a right key is not taken, either."
PROBLEM = '<p id="problem" role="alert">{}</p>'
MARKS = ' aria-invalid="true" aria-describedby="problem"'
NO_KEY = "the form must have one `key`, and nothing else"

SHOWING = (
    "Where keys are configured, a browser without a valid session gets a form to sign in with. The page itself holds "
    "no figures."
)
SIGNING_IN = (
    f"Begins a session of {LASTS_DAYS} days: the cookie is taken in place of a key in requests of this listener's own "
    "pages. Of wrong keys, an address may enter 5 a minute, and all together 60. JSON is not taken. The answer leads "
    "back to the page, with the query that it was asked with."
)
SIGNING_OUT = "The browser forgets its cookie. A copy of it stays valid until it expires, or a key changes."
TAG = {"ETag": "Which version it is"}
BACK = {"Location": "The page"}
COOKIE = {
    "Set-Cookie": "The session: signed, `HttpOnly`, `SameSite=Strict`, over TLS also `Secure` and named `__Host-…`"
}
SHOWN = {
    200: Answer("The page, or the form", str, HTML, TAG),
    304: Answer("`If-None-Match` names the current version of the page", media=None, headers=TAG),
}
ENTERED = {
    303: Answer("The key is right, or none is needed", media=None, headers={**BACK, **COOKIE}),
    400: Answer("The form does not have one `key`", Failure),
    401: Answer("The key is wrong: the form again", str, HTML, {"WWW-Authenticate": "How programs authenticate"}),
    408: Answer("The body was not complete in time", Failure, headers={"Connection": "`close`"}),
    413: Answer("The body is too long", Failure),
    415: Answer("The body is not a form", Failure),
    429: Answer("Too many wrong keys: the form again", str, HTML, {"Retry-After": "Seconds"}),
}
LEFT = {303: Answer("Signed out", media=None, headers={**BACK, "Set-Cookie": "Ends the session; one for each"})}


@with_config(extra="forbid", use_attribute_docstrings=True, json_schema_extra={"examples": [{"key": "KEY"}]})
class Credentials(TypedDict):
    """What the form sends."""

    key: str
    """One of `auth.api_keys`."""


class SignIn:
    """`GET /monitoring`, which is `page` for whoever may see it, and the form for others."""

    def __init__(self, keys: KeyRing, sessions: Sessions, page: File, attempts: Attempts | None = None) -> None:
        self._keys = keys
        self._sessions = sessions
        self._page = page
        self._attempts = attempts or Attempts()
        self._form = Template(read_page("sign-in.html").decode())

    async def show(self, request: Request) -> Response:
        """The page or the form. A link on a page of another port leads to the page as well: nothing is told there."""
        if self._keys.admits(request.scope["headers"]) or self._sessions.holds(request.scope):
            answer = await self._page.answer(request)
        else:
            answer = self._ask(200)
        answer.headers.add_vary_header("Cookie")
        return answer

    async def sign_in(self, request: Request) -> Response:
        """What the form has sent."""
        key = _read_key(request, await read_body(request, BODY_LIMIT_BYTES))
        if not self._keys:
            return _lead(request)
        address = request.client.host if request.client else ""
        if seconds := await self._attempts.wait_seconds(address):
            return self._ask(429, TOO_OFTEN.format(seconds=seconds), {"retry-after": str(seconds)})
        if not self._keys.accepts(key):
            await self._attempts.note_failure(address)
            return self._ask(401, WRONG, {"www-authenticate": CHALLENGE})
        answer = _lead(request)
        self._sessions.set_cookie(answer, request.scope)
        return answer

    async def sign_out(self, request: Request) -> Response:
        """Of this browser; the cookie stays valid for whoever has copied it."""
        answer = _lead()
        self._sessions.unset_cookie(answer, request.scope)
        return answer

    def _ask(self, status: int, problem: str = "", headers: dict[str, str] | None = None) -> Response:
        text = self._form.substitute(
            problem=PROBLEM.format(escape(problem)) if problem else "", marks=MARKS if problem else "", days=LASTS_DAYS
        )
        fields = {**HEADERS, **NOT_STORED, "x-content-type-options": "nosniff", **(headers or {})}
        return Response(text, status, fields, HTML)

    def operations(self) -> tuple[Operation, ...]:
        """All open: who signs in has no session yet."""
        show, enter, leave = self.show, self.sign_in, self.sign_out
        about = "What is happening now, in a browser"
        return (
            Operation("GET", PATH, show, "get_monitoring_page", about, SHOWN, SHOWING, open=True),
            Operation(
                *("POST", PATH, enter, "sign_in", "Sign in, in a browser", ENTERED, SIGNING_IN),
                body=Credentials,
                body_media=FORM,
                open=True,
            ),
            Operation("POST", OUT_PATH, leave, "sign_out", "Sign out, in a browser", LEFT, SIGNING_OUT, open=True),
        )


def _read_key(request: Request, body: bytes) -> bytes:
    """What was entered. Raises HTTPException for what is not such a form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"the body must be a form, {FORM}")
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    if fields.keys() != {"key"} or len(fields["key"]) != 1:
        raise HTTPException(400, NO_KEY)
    return fields["key"][0].strip().encode()


def _lead(request: Request | None = None) -> Response:
    """To the page, with the query of the request: the path is ours, so it can lead to no other host."""
    query = request.scope["query_string"] if request is not None else b""
    place = f"{PATH}?{quote(query, safe=QUERY_CHARACTERS)}" if query else PATH
    return Response(status_code=303, headers={"location": place, **NOT_STORED})
