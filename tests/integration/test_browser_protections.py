"""What keeps the web page of somebody else from acting for who is signed in: each protection, on the app as served."""

from __future__ import annotations

import asyncio
import http.cookies
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from live_server import LiveServer, live_server
from session_documents import REFRESH, SIGN_IN, SIGN_OUT, VIEWER, Visitor
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRIEND = "https://console.example"
EVIL = "https://evil.example"
NAME = "modelwire_refresh"
DELETE = 'mutation { deleteModelConfig(input: {id: "x", expectedVersion: 1}) { __typename } }'
CREATE = 'mutation { createModelConfig(input: {alias: "made"}) { __typename } }'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    folder = tmp_path_factory.mktemp("browser")
    async with live_server(folder, allowed_origins=[FRIEND], sign_in_attempts_per_minute=10_000) as server:
        yield server


@pytest.fixture
def own(server: LiveServer) -> str:
    """The server's own origin."""
    return server.url.removesuffix("/graphql")


@pytest_asyncio.fixture(loop_scope="module")
async def page(server: LiveServer, own: str) -> AsyncIterator[Visitor]:
    """A page of the server's own origin."""
    async with Visitor(server.url, origin=own) as visitor:
        yield visitor


async def revision(server: LiveServer) -> int:
    return await server.services.store.revision()


def cookie_of(response: httpx.Response) -> Any:
    """The attributes of the cookie that an answer sets; None when it sets none."""
    header = response.headers.get("set-cookie")
    return None if header is None else http.cookies.SimpleCookie(header)[NAME]


async def signed_in(visitor: Visitor, server: LiveServer, **headers: str) -> httpx.Response:
    given = {"apiKey": server.admin_key, "cookie": True}
    response = await visitor.post(SIGN_IN, given=given, headers=headers)
    assert response.json()["data"]["signIn"]["__typename"] == "SignInPayload", response.text
    return response


class TestCookie:
    async def test_no_script_other_path_or_other_site_gets_it(self, server: LiveServer, page: Visitor) -> None:
        response = await signed_in(page, server)
        cookie = cookie_of(response)
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/graphql")
        assert (cookie["secure"], cookie["domain"]) == ("", "")
        assert cookie["expires"]
        # It is in the cookie, and nowhere in what a script can read.
        assert response.json()["data"]["signIn"]["refreshToken"] is None
        assert cookie.value not in response.text
        assert response.headers["cache-control"] == "no-store"

    async def test_a_page_of_https_gets_it_by_https_alone(self, server: LiveServer) -> None:
        async with Visitor(server.url, origin=FRIEND) as friend:
            response = await signed_in(friend, server)
        assert cookie_of(response)["secure"] is True
        assert response.headers["access-control-allow-origin"] == FRIEND
        assert response.headers["access-control-allow-credentials"] == "true"

    async def test_it_keeps_a_page_signed_in_until_it_signs_out(self, server: LiveServer, page: Visitor) -> None:
        first = cookie_of(await signed_in(page, server)).value
        response = await page.post(REFRESH, given={})
        assert cookie_of(response).value != first
        token = response.json()["data"]["refreshSession"]["accessToken"]
        response = await page.post(SIGN_OUT, token, given={})
        assert response.json()["data"]["signOut"]["endedSessions"] == 1
        assert cookie_of(response).value == ""
        assert NAME not in page.http.cookies
        assert (await page.refused(REFRESH))[0] == "UNAUTHENTICATED"

    async def test_two_tabs_refresh_at_once(self, server: LiveServer, page: Visitor) -> None:
        await signed_in(page, server)
        answers = await asyncio.gather(page.post(REFRESH, given={}), page.post(REFRESH, given={}))
        tokens = [answer.json()["data"]["refreshSession"]["accessToken"] for answer in answers]
        assert len({cookie_of(answer).value for answer in answers}) == 1
        for token in tokens:
            await page.ask(VIEWER, token)
        await page.ask(REFRESH)

    async def test_it_is_good_for_nothing_else(self, server: LiveServer, page: Visitor) -> None:
        token = cookie_of(await signed_in(page, server)).value
        for query in (VIEWER, CREATE, "{ __typename }"):
            assert (await page.post(query)).status_code == 401
        assert (await page.post(VIEWER, token)).status_code == 401
        url = server.url.replace("http", "ws")
        headers = {"Cookie": f"{NAME}={token}"}
        async with connect(
            url,
            subprotocols=["graphql-transport-ws"],
            additional_headers=headers,
            proxy=None,  # type: ignore[list-item]
        ) as socket:
            await socket.send(json.dumps({"type": "connection_init"}))
            await socket.wait_closed()
            assert socket.close_code == 4401

    async def test_a_stream_begins_before_it_could_set_one(self, server: LiveServer, page: Visitor) -> None:
        headers = {"accept": "text/event-stream"}
        given = {"apiKey": server.admin_key, "cookie": True}
        response = await page.post(SIGN_IN, given=given, headers=headers)
        assert "a cookie is for web pages" in response.text
        assert cookie_of(response) is None
        await signed_in(page, server)
        # The token of the cookie is not used up either.
        assert "a cookie is for web pages" in (await page.post(REFRESH, given={}, headers=headers)).text
        await page.ask(REFRESH)

    async def test_a_cookie_that_is_none_is_taken_back(self, page: Visitor) -> None:
        response = await page.post(REFRESH, given={}, headers={"cookie": f"{NAME}=nonsense"})
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert cookie_of(response).value == ""


class TestCsrf:
    """A browser sends the cookie along whoever asks it to; the server must not take it from just anybody."""

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"origin": EVIL}, 403),
            ({"origin": "null"}, 403),
            ({"origin": f"{FRIEND}.evil.example"}, 403),
            # A browser says where a script comes from. Whoever does not is no page, and has no cookie to show.
            ({}, 200),
        ],
    )
    async def test_pages_of_others_do_not_refresh(
        self, server: LiveServer, page: Visitor, headers: dict[str, str], status: int
    ) -> None:
        cookie = {"cookie": f"{NAME}={cookie_of(await signed_in(page, server)).value}"}
        async with Visitor(server.url) as other:
            response = await other.post(REFRESH, given={}, headers=headers | cookie)
            assert response.status_code == status
            assert "accessToken" not in response.text
            assert cookie_of(response) is None
        # And has used up nothing.
        await page.ask(REFRESH)

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain; application/json",
        ],
    )
    async def test_what_a_form_can_send_is_refused(
        self, server: LiveServer, page: Visitor, own: str, content_type: str
    ) -> None:
        value = cookie_of(await signed_in(page, server)).value
        body = json.dumps({"query": REFRESH, "variables": {"input": {}}})
        headers = {"content-type": content_type, "origin": own, "cookie": f"{NAME}={value}"}
        async with httpx.AsyncClient(trust_env=False) as form:
            response = await form.post(server.url, content=body, headers=headers)
        assert response.status_code == 415
        await page.ask(REFRESH)

    async def test_json_of_another_origin_has_to_ask_first_and_is_told_no(self, server: LiveServer) -> None:
        async with httpx.AsyncClient(trust_env=False) as browser:
            for origin, status in ((EVIL, 400), (FRIEND, 200)):
                headers = {
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "content-type",
                }
                response = await browser.options(server.url, headers=headers)
                assert response.status_code == status
                assert (response.headers.get("access-control-allow-origin") == origin) is (status == 200)

    async def test_nobody_is_signed_in_with_the_key_of_somebody_else(self, server: LiveServer) -> None:
        async with Visitor(server.url, origin=EVIL) as evil:
            response = await evil.post(SIGN_IN, given={"apiKey": server.admin_key, "cookie": True})
        assert (response.status_code, cookie_of(response)) == (403, None)


class TestOrigin:
    @pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1", f"{FRIEND}:8443"])
    async def test_pages_of_others_neither_write_nor_open_sockets(self, server: LiveServer, origin: str) -> None:
        before = await revision(server)
        async with Visitor(server.url, origin=origin) as evil:
            assert (await evil.post(CREATE, server.admin_key)).status_code == 403
        url = server.url.replace("http", "ws")
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, origin=origin, subprotocols=["graphql-transport-ws"], proxy=None)  # type: ignore[arg-type, list-item]
        assert caught.value.response.status_code == 403
        assert await revision(server) == before

    async def test_own_and_allowed_pages_do(self, server: LiveServer, own: str) -> None:
        for origin in (own, FRIEND):
            async with Visitor(server.url, origin=origin) as visitor:
                await visitor.ask(VIEWER, server.admin_key)
            url = server.url.replace("http", "ws")
            async with connect(url, origin=origin, subprotocols=["graphql-transport-ws"], proxy=None) as socket:  # type: ignore[arg-type, list-item]
                init = {"type": "connection_init", "payload": {"authorization": f"Bearer {server.admin_key}"}}
                await socket.send(json.dumps(init))
                assert json.loads(await socket.recv())["type"] == "connection_ack"


class TestGet:
    @pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "text/event-stream"])
    @pytest.mark.parametrize(
        "query", [CREATE, DELETE, "mutation { signOut(input: {everywhere: true}) { __typename } }"]
    )
    async def test_a_get_changes_nothing(self, server: LiveServer, page: Visitor, query: str, accept: str) -> None:
        response = await signed_in(page, server)
        token = response.json()["data"]["signIn"]["accessToken"]
        before = await revision(server)
        headers = {"authorization": f"Bearer {token}", "accept": accept}
        answer = await page.http.get(server.url, params={"query": query}, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert await revision(server) == before
        await page.ask(VIEWER, token)

    async def test_a_get_does_not_see_the_cookie(self, server: LiveServer, page: Visitor) -> None:
        await signed_in(page, server)
        for query in (REFRESH, VIEWER):
            answer = await page.http.get(server.url, params={"query": query, "variables": '{"input": {}}'})
            assert (answer.status_code, cookie_of(answer)) == (401, None)
        await page.ask(REFRESH)


@pytest.mark.parametrize("path", ["/", "/graphiql", "/graphql", "/healthz", "/nowhere"])
async def test_no_page_runs_foreign_or_inline_scripts(own: str, path: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as browser:
        response = await browser.get(own + path)
    policy = dict(part.strip().partition(" ")[::2] for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy.get("script-src", "'none'") in {"'none'", "'self'"}
    assert policy.get("connect-src", "'none'") in {"'none'", "'self'"}
    assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'",) * 3
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    # No script in the page itself, which such a policy would stop.
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:", response.text)


async def test_the_link_of_the_first_start_still_signs_in(server: LiveServer, own: str, page: Visitor) -> None:
    # The key stands behind the #, which no browser sends; the page takes it from there and shows it in a header.
    assert (await page.http.get(f"{own}/#key={server.admin_key}")).request.url.raw_path == b"/"
    viewer = await page.ask(VIEWER, server.admin_key)
    assert viewer["name"] == "administrator"
