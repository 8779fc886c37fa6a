"""The cookie of a browser: for which requests there is one, and until when an answer can set it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelwire.server.cookies import BrowserCookie

ORIGIN = (b"origin", b"https://console.example")
COOKIE = (b"cookie", b"other=1; modelwire_refresh=the.token.itself; more=2")
END = datetime(2030, 1, 1, tzinfo=UTC)


def request(*headers: tuple[bytes, bytes], **changed: Any) -> Any:
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/graphql", "headers": list(headers)}
    return scope | changed


def test_it_is_read_from_what_a_page_posts() -> None:
    cookie = BrowserCookie.of(request(ORIGIN, COOKIE))
    assert cookie is not None
    assert (cookie.token, cookie.writable) == ("the.token.itself", True)


@pytest.mark.parametrize(
    "scope",
    [
        request(COOKIE),
        request(ORIGIN, COOKIE, method="GET"),
        request(ORIGIN, COOKIE, method="OPTIONS"),
        request(ORIGIN, COOKIE, type="websocket"),
    ],
    ids=["no page", "GET", "OPTIONS", "websocket"],
)
def test_there_is_none_for_anything_else(scope: Any) -> None:
    assert BrowserCookie.of(scope) is None


@pytest.mark.parametrize("header", [b"other=1", b"modelwire_refresh=", b"", b"=;;=", b"modelwire_refresh2=x"])
def test_a_page_may_have_none_yet(header: bytes) -> None:
    cookie = BrowserCookie.of(request(ORIGIN, (b"cookie", header)))
    assert cookie is not None
    assert cookie.token is None


def test_a_header_costs_what_it_is_long() -> None:
    """Anybody may send one. With quotes taken off, many megabytes of backslashes would take for days."""
    cookie = BrowserCookie.of(request(ORIGIN, (b"cookie", b'modelwire_refresh="' + b"\\" * 2**23 + b'"')))
    assert cookie is not None
    assert cookie.token is not None


async def test_it_is_set_with_the_begin_of_an_answer_and_not_later() -> None:
    cookie = BrowserCookie.of(request(ORIGIN))
    assert cookie is not None
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    sending = cookie.sending(send)
    cookie.keep("the.next.token", END)
    await sending({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"other=1")]})
    assert not cookie.writable
    await sending({"type": "http.response.body", "body": b""})
    set_cookies = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    assert set_cookies[0] == "other=1"
    assert set_cookies[1].startswith("modelwire_refresh=the.next.token; expires=Tue, 01 Jan 2030 00:00:00 GMT;")
    assert len(set_cookies) == 2
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_an_answer_that_sets_none_is_left_as_it_is() -> None:
    cookie = BrowserCookie.of(request(ORIGIN, COOKIE))
    assert cookie is not None
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await cookie.sending(send)({"type": "http.response.start", "status": 200, "headers": []})
    assert sent == [{"type": "http.response.start", "status": 200, "headers": []}]
