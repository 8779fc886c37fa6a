"""GraphQL over HTTP on a real server: media types, statuses, and everything that is no request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from raw_http import exchange

from modelwire.server.graphql import Limits
from modelwire.server.graphql.http import OPEN_BYTES
from modelwire.store import StoreUnavailable

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
MIB = 1024 * 1024

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def http(server: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Bearer good"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as client:
        # httpx asks for anything; a test says what it accepts.
        del client.headers["accept"]
        yield client


async def post(http: httpx.AsyncClient, query: str, accept: str | None = None, **request: Any) -> httpx.Response:
    headers = {} if accept is None else {"Accept": accept}
    return await http.post("", json={"query": query, **request}, headers=headers)


def code_of(response: httpx.Response) -> str:
    (error,) = response.json()["errors"]
    return str(error["extensions"]["code"])


async def test_a_query(http: httpx.AsyncClient) -> None:
    response = await post(http, "{ hello }")
    assert (response.status_code, response.json()) == (200, {"data": {"hello": "Ada"}})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"


async def test_a_mutation_with_variables_and_a_name(http: httpx.AsyncClient) -> None:
    query = "mutation A { double(number: 1) } mutation B($n: Int!) { double(number: $n) }"
    response = await post(http, query, operationName="B", variables={"n": 21})
    assert response.json() == {"data": {"double": 42}}


async def test_extensions_reach_the_resolvers(http: httpx.AsyncClient) -> None:
    assert (await post(http, "{ extension }", extensions={"word": "w"})).json() == {"data": {"extension": "w"}}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", JSON),
        (f"{GRAPHQL_RESPONSE}, {JSON};q=0.9", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON};q=0.9", JSON),
        (f"{GRAPHQL_RESPONSE}, {JSON}, text/event-stream, multipart/mixed", GRAPHQL_RESPONSE),
        (f"*/*;q=0.1, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{JSON};q=0, */*", GRAPHQL_RESPONSE),
        (GRAPHQL_RESPONSE.upper(), GRAPHQL_RESPONSE),
    ],
)
async def test_negotiation(http: httpx.AsyncClient, accept: str | None, media_type: str) -> None:
    response = await post(http, "{ hello }", accept)
    assert (response.status_code, response.headers["content-type"]) == (200, f"{media_type}; charset=utf-8")


@pytest.mark.parametrize(
    "accept", ["text/html", f"{JSON};q=0", "text/*", "multipart/mixed", "text/event-stream;q=0", f"{JSON};q=x"]
)
async def test_an_answer_that_is_not_accepted_is_406(http: httpx.AsyncClient, accept: str) -> None:
    assert (await post(http, "{ hello }", accept)).status_code == 406


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{", None),
        ("{ unknown }", None),
        ("query($n: String!) { hello(name: $n) }", {"n": None}),
        ("query A { hello } query B { hello }", None),
    ],
)
async def test_request_errors(http: httpx.AsyncClient, query: str, variables: Any) -> None:
    for accept, status in ((JSON, 200), (GRAPHQL_RESPONSE, 400)):
        response = await post(http, query, accept, variables=variables)
        assert response.status_code == status
        assert "data" not in response.json()
        assert code_of(response) == "BAD_USER_INPUT"


async def test_a_limit_is_a_request_error(http: httpx.AsyncClient) -> None:
    aliases = " ".join(f"a{i}: hello" for i in range(31))
    response = await post(http, f"{{ {aliases} }}", GRAPHQL_RESPONSE)
    assert (response.status_code, code_of(response)) == (400, "LIMIT_EXCEEDED")


async def test_an_error_of_a_field_comes_with_data(http: httpx.AsyncClient) -> None:
    response = await post(http, "{ broken hello }", GRAPHQL_RESPONSE)
    assert (response.status_code, response.json()["data"]) == (200, {"broken": None, "hello": "Ada"})
    assert code_of(response) == "INTERNAL"
    assert "canary" not in response.text


async def test_get_executes_queries(http: httpx.AsyncClient) -> None:
    parameters = {
        "query": "query A($n: String) { hello(name: $n) extension }",
        "operationName": "A",
        "variables": '{"n": "é"}',
        "extensions": '{"word": "w"}',
    }
    response = await http.get("", params=parameters)
    assert (response.status_code, response.json()) == (200, {"data": {"hello": "é", "extension": "w"}})
    response = await http.get("", params={"query": "{ hello }", "variables": ""})
    assert response.json() == {"data": {"hello": "Ada"}}


async def test_get_never_mutates(http: httpx.AsyncClient) -> None:
    response = await http.get("", params={"query": "mutation { double(number: 1) }"})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    query = "query A { hello } mutation B { double(number: 1) }"
    assert (await http.get("", params={"query": query, "operationName": "B"})).status_code == 405
    assert (await http.get("", params={"query": query, "operationName": "A"})).status_code == 200


@pytest.mark.parametrize(
    "query_string",
    ["", "query", "variables={}", "query={hello}&variables=[1]", "query={hello}&variables={", "query=%ff"],
)
async def test_a_query_string_that_is_no_request_is_400(http: httpx.AsyncClient, query_string: str) -> None:
    response = await http.get(f"?{query_string}", headers={"Accept": GRAPHQL_RESPONSE})
    assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, "", json={"query": "{ hello }"})
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("query", ["subscription { count(to: 1) }", "subscription { large }"])
async def test_a_subscription_is_told_where_to_go(http: httpx.AsyncClient, query: str) -> None:
    response = await post(http, query, "*/*")
    assert response.status_code == 400
    for way in ("graphql-transport-ws", "text/event-stream", "multipart/mixed;subscriptionSpec=1.0"):
        assert way in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "true",
        "7",
        '"{ hello }"',
        "[]",
        '[{"query": "{ hello }"}]',
        "{}",
        '{"query": null}',
        '{"query": 0}',
        '{"query": {"obj": "ect"}}',
        '{"query": "{ hello }", "operationName": []}',
        '{"query": "{ hello }", "variables": "text"}',
        '{"query": "{ hello }", "variables": [1]}',
        '{"query": "{ hello }", "extensions": 0}',
        '{"query": "{ hello }", "variables": {"x": ' + "[" * 200 + "]" * 200 + "}}",
        "[" * MIB,
        '{"a":' * 150_000,
        b"\xff\xfe",
    ],
)
async def test_a_body_that_is_no_request_is_400(http: httpx.AsyncClient, body: str | bytes) -> None:
    for accept in (JSON, GRAPHQL_RESPONSE):
        headers = {"Content-Type": JSON, "Accept": accept}
        response = await http.post("", content=body, headers=headers)
        assert (response.status_code, code_of(response)) == (400, "BAD_USER_INPUT")
        assert "data" not in response.json()


@pytest.mark.parametrize("query", ["{ a " * 900, "{ hello(name: " + "[" * 900, "{ ...F } fragment F on Query { ...F }"])
async def test_a_document_that_nests_deeply_is_400(http: httpx.AsyncClient, query: str) -> None:
    assert (await post(http, query, GRAPHQL_RESPONSE)).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/graphql"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_other_content_is_415(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await http.post("", content=b'{"query": "{ hello }"}', headers=headers)
    assert response.status_code == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "Application/JSON;charset=utf-8"])
async def test_utf_8_may_be_said(http: httpx.AsyncClient, content_type: str) -> None:
    body = json.dumps({"query": '{ hello(name: "é") }'}, ensure_ascii=False).encode()
    response = await http.post("", content=body, headers={"Content-Type": content_type})
    assert response.json() == {"data": {"hello": "é"}}


@pytest.mark.parametrize("authorization", [None, "Bearer wrong"])
@pytest.mark.parametrize("accept", [JSON, GRAPHQL_RESPONSE, "text/event-stream"])
async def test_without_a_credential_it_is_401(http: httpx.AsyncClient, authorization: str | None, accept: str) -> None:
    del http.headers["authorization"]
    if authorization is not None:
        http.headers["authorization"] = authorization
    for response in (await post(http, "{ hello }", accept), await http.get("", params={"query": "{ hello }"})):
        assert (response.status_code, code_of(response)) == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_store_that_is_down_is_503(server: Any, http: httpx.AsyncClient) -> None:
    server.failure = StoreUnavailable("no connection to db.internal")
    try:
        response = await post(http, "{ hello }")
    finally:
        server.failure = None
    assert (response.status_code, code_of(response)) == (503, "UNAVAILABLE")
    assert "db.internal" not in response.text


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:{port}", 200),
        ("https://127.0.0.1:{port}", 403),
        ("http://127.0.0.1", 403),
        ("http://localhost:{port}", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("https://console.example", 200),
        ("https://console.example.evil.example", 403),
        ("http://[", 403),
    ],
)
async def test_origins(serve: Any, origin: str, status: int) -> None:
    async with (
        serve(allowed_origins=frozenset({"https://console.example"})) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as http,
    ):
        headers = {"Origin": origin.format(port=server.port), "Authorization": "Bearer good"}
        response = await http.post("", json={"query": "{ hello }"}, headers=headers)
        assert response.status_code == status
        # Reading is safe: a browser does not show the answer to a page of another origin.
        assert (await http.get("", params={"query": "{ hello }"}, headers=headers)).status_code == 200


async def test_the_scheme_of_the_own_origin_may_leave_out_the_port(server: Any, http: httpx.AsyncClient) -> None:
    headers = {"Host": "modelwire.example:80", "Origin": "http://modelwire.example"}
    assert (await http.post("", json={"query": "{ hello }"}, headers=headers)).status_code == 200


HEAD = b"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\n"


async def test_a_body_of_1_mib_is_read(http: httpx.AsyncClient) -> None:
    request = {"query": "{ hello }", "padding": ""}
    request["padding"] = "x" * (MIB - len(json.dumps(request)))
    response = await http.post("", content=json.dumps(request), headers={"Content-Type": JSON})
    assert response.json() == {"data": {"hello": "Ada"}}


async def test_a_body_that_says_that_it_is_too_large_is_not_even_waited_for(server: Any) -> None:
    answer = await exchange(server.port, HEAD + b"Content-Length: %d\r\n\r\n" % (MIB + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"LIMIT_EXCEEDED" in answer


async def test_a_body_that_does_not_say_its_length_is_read_up_to_the_limit(server: Any) -> None:
    chunk = b"%x\r\n%s\r\n" % (MIB + 1, b"x" * (MIB + 1))
    # The last chunk never comes.
    answer = await exchange(server.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_does_not_come_is_408(serve: Any) -> None:
    async with serve(Limits(body_timeout_seconds=0.05)) as server:
        answer = await exchange(server.port, HEAD + b"Content-Length: 10\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_leaves_while_it_sends_does_no_harm(server: Any, http: httpx.AsyncClient) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD + b"Content-Length: 10\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await post(http, "{ hello }")).status_code == 200


async def test_after_close_nothing_is_accepted(serve: Any) -> None:
    async with serve() as server, httpx.AsyncClient(trust_env=False) as http:
        await server.endpoint.close()
        response = await http.post(server.url, json={"query": "{ hello }"}, headers={"Authorization": "Bearer good"})
    assert (response.status_code, code_of(response)) == (503, "UNAVAILABLE")


ORIGIN = "https://console.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_with(serve: Any) -> AsyncIterator[Any]:
    """A server that pages of ORIGIN may use."""
    async with serve(allowed_origins=frozenset({ORIGIN})) as server:
        yield server


async def preflight(server: Any, origin: str, method: str = "POST", headers: str = "authorization,content-type") -> Any:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.options(
            server.url,
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": headers,
            },
        )


async def test_a_browser_may_ask_whether_a_page_of_another_origin_may_act(shared_with: Any) -> None:
    response = await preflight(shared_with, ORIGIN, headers="authorization,content-type,x-request-id")
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-headers"] == "authorization,content-type,x-request-id"
    assert response.headers["access-control-allow-methods"] == "GET, POST"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize("origin", ["https://evil.example", f"{ORIGIN}.evil.example", f"{ORIGIN}:8443", "null", "*"])
async def test_other_origins_are_told_no(shared_with: Any, origin: str) -> None:
    response = await preflight(shared_with, origin)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


async def test_without_allowed_origins_there_is_none(server: Any) -> None:
    response = await preflight(server, ORIGIN)
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


async def test_methods_that_we_do_not_have_are_not_allowed(shared_with: Any) -> None:
    assert (await preflight(shared_with, ORIGIN, method="DELETE")).status_code == 400


@pytest.mark.parametrize("accept", [JSON, "text/event-stream", "multipart/mixed;subscriptionSpec=1.0"])
@pytest.mark.parametrize(("authorization", "status"), [("Bearer good", 200), ("Bearer wrong", 401)])
async def test_a_page_of_an_allowed_origin_may_read_answers_and_refusals(
    shared_with: Any, accept: str, authorization: str, status: int
) -> None:
    headers = {"Origin": ORIGIN, "Authorization": authorization, "Accept": accept}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        response = await http.post(shared_with.url, json={"query": "{ hello }"})
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example", None])
async def test_nobody_else_may_read_them(shared_with: Any, origin: str | None) -> None:
    headers = {"Authorization": "Bearer good"} | ({"Origin": origin} if origin else {})
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        response = await http.get(shared_with.url, params={"query": "{ hello }"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["vary"] == "Origin"


async def test_what_is_open_needs_no_credential(serve: Any) -> None:
    async with serve(open_mutations=frozenset({"double", "hello"})) as server, httpx.AsyncClient() as nobody:
        for query, status in (
            ("mutation { double(number: 2) }", 200),
            ("mutation { a: double(number: 2) b: double(number: 3) }", 200),
            ("mutation { double(number: 2) __typename }", 401),
            # Mutations alone.
            ("{ hello }", 401),
        ):
            response = await nobody.post(server.url, json={"query": query})
            assert (response.status_code, "www-authenticate" in response.headers) == (status, status == 401), query
        # Validating costs more than a body is long.
        for length, status in ((OPEN_BYTES, 200), (OPEN_BYTES + 1, 401)):
            text = json.dumps({"query": "mutation { double(number: 2) }"}).ljust(length)
            response = await nobody.post(server.url, content=text, headers={"content-type": "application/json"})
            assert response.status_code == status
        # Whoever shows a credential has to show a good one.
        body = {"query": "mutation { double(number: 2) }"}
        assert (await nobody.post(server.url, json=body, headers={"authorization": "wrong"})).status_code == 401
        assert (await nobody.post(server.url, json=body, headers={"authorization": ""})).status_code == 401


async def test_nothing_is_open_by_itself(server: Any) -> None:
    async with httpx.AsyncClient() as nobody:
        response = await nobody.post(server.url, json={"query": "mutation { double(number: 2) }"})
        assert response.status_code == 401
