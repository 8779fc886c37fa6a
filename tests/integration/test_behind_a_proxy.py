"""A server behind HAProxy, which ends TLS and takes a path prefix off: pages, origins, cookies, streams, sources."""

from __future__ import annotations

import http.cookies
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio
from guarantees.servers import Server
from guarantees.world import ADMIN_KEY
from haproxy import PREFIX, HaProxy
from session_documents import REFRESH, SIGN_IN
from tls import Tls, make_tls
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from modelwire.subscriber import DynamicModelProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTEMPTS = 6
EVIL = "https://evil.example"
CREATE = """mutation ($alias: String!) {
  createModelConfig(input: {alias: $alias, provider: "openai", model: "m"}) { __typename } }"""
Visitor = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy(tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HaProxy]:
    """In front of a server that knows of it."""
    folder: Path = tmp_path_factory.mktemp("proxy")
    environment = {"MODELWIRE_ADMIN_KEY": ADMIN_KEY, "MODELWIRE_SIGN_IN_ATTEMPTS_PER_MINUTE": str(ATTEMPTS)}
    server = Server(folder / "server", environment)
    proxy = HaProxy(folder, tls, [server.port])
    environment.update(proxy.settings)
    try:
        await server.start()
        await proxy.start()
        assert f"GraphQL:           {proxy.url}/graphql" in server.output
        yield proxy
    finally:
        await proxy.kill()
        await server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(proxy: HaProxy, tls: Tls) -> AsyncIterator[Visitor]:
    """Makes clients that come from this address of this machine."""
    made: list[httpx.AsyncClient] = []

    def make(address: str = "127.0.0.9", **headers: str) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(tls.authority))
        transport = httpx.AsyncHTTPTransport(verify=context, local_address=address)
        made.append(httpx.AsyncClient(transport=transport, headers=headers, timeout=60))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


def origin_of(proxy: HaProxy) -> str:
    parts = urlsplit(proxy.url)
    return f"{parts.scheme}://{parts.netloc}"


async def ask(client: httpx.AsyncClient, proxy: HaProxy, query: str, **variables: Any) -> httpx.Response:
    return await client.post(f"{proxy.url}/graphql", json={"query": query, "variables": variables})


@pytest.mark.parametrize("page", ["", "/", "/graphiql"])
async def test_pages_and_all_that_they_load_are_found_below_the_prefix(
    proxy: HaProxy, visitor: Visitor, page: str
) -> None:
    client = visitor()
    answer = await client.get(proxy.url + page, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.url.path.startswith(f"{PREFIX}/")
    loaded = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', answer.text)
    assert loaded != []
    for address in loaded:
        assert (await client.get(urljoin(str(answer.url), address))).status_code == 200


async def test_a_page_signs_in_and_its_cookie_comes_back_to_the_prefix_alone(proxy: HaProxy, visitor: Visitor) -> None:
    page = visitor(origin=origin_of(proxy))
    answer = await ask(page, proxy, SIGN_IN, input={"apiKey": ADMIN_KEY, "cookie": True})
    assert answer.json()["data"]["signIn"]["__typename"] == "SignInPayload"
    cookie = http.cookies.SimpleCookie(answer.headers["set-cookie"])["modelwire_refresh"]
    assert (cookie["path"], cookie["secure"], cookie["httponly"]) == (f"{PREFIX}/graphql", True, True)
    # As a browser, the client sends it to where it belongs.
    refreshed = (await ask(page, proxy, REFRESH, input={})).json()["data"]["refreshSession"]
    assert refreshed["__typename"] == "RefreshSessionPayload"


async def test_the_origin_is_the_one_that_browsers_see(proxy: HaProxy, visitor: Visitor) -> None:
    key = f"Bearer {ADMIN_KEY}"
    for number, (origin, status) in enumerate([(origin_of(proxy), 200), (EVIL, 403), ("http://127.0.0.1", 403)]):
        answer = await ask(visitor(origin=origin, authorization=key), proxy, CREATE, alias=f"origin-{number}")
        assert answer.status_code == status


async def test_websockets_and_streams_go_through(proxy: HaProxy, tls: Tls, visitor: Visitor) -> None:
    context = ssl.create_default_context(cafile=str(tls.authority))
    address = f"{proxy.url.replace('https', 'wss')}/graphql"
    protocols = [Subprotocol("graphql-transport-ws")]
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, ssl=context, subprotocols=protocols, origin=Origin(EVIL), proxy=None)
    assert refused.value.response.status_code == 403
    own = Origin(origin_of(proxy))
    async with connect(address, ssl=context, subprotocols=protocols, origin=own, proxy=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {ADMIN_KEY}"}}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {ADMIN_KEY}"}
    query = {"query": "subscription { modelConfigChanged { __typename } }"}
    async with visitor(**headers).stream("POST", f"{proxy.url}/graphql", json=query) as stream:
        async for line in stream.aiter_lines():
            if "ModelConfigSnapshot" in line:
                break


async def test_a_component_is_told_through_it(
    proxy: HaProxy, tls: Tls, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    async with DynamicModelProvider(proxy.url, token=ADMIN_KEY, component="behind") as provider:
        model = provider.get_lite_llm_model("for-a-component")
        await ask(visitor(authorization=f"Bearer {ADMIN_KEY}"), proxy, CREATE, alias="for-a-component")
        await model.wait_ready(timeout_seconds=120)


async def test_attempts_to_sign_in_are_counted_for_who_makes_them(proxy: HaProxy, visitor: Visitor) -> None:
    """Not for the proxy, and not for whom a visitor pretends to be."""

    async def attempt(client: httpx.AsyncClient) -> str:
        wrong = f"mw_{'0' * 10}_{'0' * 64}"
        answer = (await ask(client, proxy, SIGN_IN, input={"apiKey": wrong})).json()
        return str(answer["errors"][0]["extensions"]["code"])

    liars = [visitor("127.0.0.2", **{"x-forwarded-for": f"10.0.0.{number}"}) for number in range(ATTEMPTS + 1)]
    codes = [await attempt(liar) for liar in liars]
    assert codes == ["UNAUTHENTICATED"] * ATTEMPTS + ["LIMIT_EXCEEDED"]
    assert await attempt(visitor("127.0.0.3")) == "UNAUTHENTICATED"
