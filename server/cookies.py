"""The cookie in which a browser keeps its refresh token.

It is for web pages of allowed origins alone: a browser sends `Origin` with every POST that a script makes, the
transport refuses those of other origins, and what has no `Origin` gets no cookie and has none read.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Self

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Scope, Send

NAME = "modelwire_refresh"
LONG_AGO = datetime.fromtimestamp(0, UTC)
"""Over for every browser, however wrong its clock is."""


class BrowserCookie:
    """The refresh token of one HTTP request and its answer: `resolvers.session_rules.RefreshCookie`."""

    def __init__(self, token: str | None, *, path: str, secure: bool) -> None:
        self.token = token
        self.writable = True
        self._path = path
        self._secure = secure
        self._header: str | None = None

    @classmethod
    def of(cls, scope: Scope, public_path: str = "") -> Self | None:
        """That of a request; None when it comes from no web page. `public_path` is what a proxy took off its path."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:
            return None
        # Behind a proxy that ends TLS the server itself is asked by http: what the browser sees counts.
        secure = scope["scheme"] == "https" or origin.startswith("https://")
        return cls(_token(headers.get("cookie", "")), path=public_path + scope["path"], secure=secure)

    def keep(self, token: str, expires_at: datetime) -> None:
        """Have the browser keep this one from now on."""
        self._set(token, expires_at)

    def forget(self) -> None:
        """Have the browser keep none."""
        self._set("", LONG_AGO)

    def _set(self, token: str, expires: datetime) -> None:
        response = Response()
        response.set_cookie(
            NAME, token, expires=expires, path=self._path, secure=self._secure, httponly=True, samesite="strict"
        )
        self._header = response.headers["set-cookie"]

    def sending(self, send: Send) -> Send:
        """Put into the answer what was set until it begins."""

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.writable = False
                if self._header is not None:
                    MutableHeaders(scope=message).append("set-cookie", self._header)
            await send(message)

        return send_with_cookie


def _token(header: str) -> str | None:
    """What a Cookie header has for us; None when it has nothing."""
    # A token needs no quotes. To take them off, as Starlette does of all cookies, takes Python before 3.11.10 and
    # 3.12.6 a quarter of a minute for a header that is full of backslashes.
    pairs = (pair.partition("=") for pair in header.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}.get(NAME) or None


browser_cookie: ContextVar[BrowserCookie | None] = ContextVar("browser_cookie", default=None)
"""That of the request of this task; None when it comes from no web page."""
