"""The proxy of calls that libraries make: where it connects to, for whom, and how much it lets through."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from stand_ins.model_lists import KEY, StandIn, running_stand_in

from modelwire.resolvers.guarded_proxy import GuardedProxy, Target, guarded_proxy, target_of
from modelwire.resolvers.outbound import Outbound, OutboundPolicy, OutboundProblem

HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running_stand_in() as running:
        yield running


def outbound(*addresses: str, **policy: Any) -> Outbound:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        if not addresses:
            raise OSError("no such host")
        return addresses

    return Outbound(policy=OutboundPolicy(**policy), resolve=resolve)


async def get(proxy: GuardedProxy, url: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(proxy=proxy.url, trust_env=False, timeout=30) as client:
        return await client.get(url, headers=HEADERS, **more)


async def test_a_request_goes_to_the_address_that_was_checked(stand_in: StandIn) -> None:
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        answer = await get(proxy, f"http://innocent.example:{stand_in.port}/v1/models?a=b")
    assert [model["id"] for model in answer.json()["data"]] == ["gpt-b", "gpt-a"]
    ((path, headers),) = stand_in.requests
    assert (path, headers["host"]) == ("/v1/models", f"innocent.example:{stand_in.port}")
    assert not any("proxy" in name for name in headers)
    assert proxy.problem is None


async def test_a_body_arrives_whole_and_nothing_behind_it(stand_in: StandIn) -> None:
    """A second request on the same connection would go to the first one's target, whatever it is for."""
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        credential = httpx.URL(proxy.url)
        authorization = httpx.BasicAuth(credential.username, credential.password)._auth_header
        one = (
            f"GET http://a.example:{stand_in.port}/v1/models HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n"
            f"Authorization: Bearer {KEY}\r\nProxy-Authorization: {authorization}\r\n\r\n{{}}"
        ).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(one + one)
        answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200") == 1
    assert len(stand_in.requests) == 1


@pytest.mark.parametrize(
    ("addresses", "policy", "host"),
    [
        (("127.0.0.1",), {}, "innocent.example"),
        (("10.0.0.1",), {}, "innocent.example"),
        (("169.254.169.254",), {"private_addresses": True}, "innocent.example"),
        (("169.254.169.254",), {"private_addresses": True}, "169.254.169.254"),
        (("::ffff:169.254.169.254",), {"private_addresses": True}, "[::ffff:169.254.169.254]"),
        (("1.1.1.1",), {"allowed_hosts": frozenset({"other.example"})}, "innocent.example"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_what_the_policy_forbids_is_refused_both_ways(
    scheme: str, addresses: tuple[str, ...], policy: dict[str, Any], host: str
) -> None:
    async with guarded_proxy(outbound(*addresses, **policy)) as proxy:
        if scheme == "http":
            assert (await get(proxy, f"http://{host}/")).status_code == 403
        else:
            with pytest.raises(httpx.ProxyError, match="403"):
                await get(proxy, f"https://{host}/")
    assert proxy.problem is not None
    assert proxy.problem.problem is OutboundProblem.BLOCKED


async def test_other_targets_than_those_of_the_call_are_refused(stand_in: StandIn) -> None:
    only: frozenset[Target] = frozenset({("127.0.0.1", stand_in.port)})
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True), only=only) as proxy:
        assert (await get(proxy, f"{stand_in.url}/v1/models")).status_code == 200
        assert (await get(proxy, f"http://other.example:{stand_in.port}/v1/models")).status_code == 403
        assert (await get(proxy, "http://127.0.0.1:1/v1/models")).status_code == 403
    assert len(stand_in.requests) == 1
    assert proxy.problem is not None
    assert "not where the config says" in proxy.problem.message


@pytest.mark.parametrize(
    "address", ["http://[2001:db8::1]/v1", "http://[2001:db8::1]:81/v1", "https://[2001:db8::1]/v1"]
)
async def test_an_address_of_ipv6_is_a_target(address: str) -> None:
    async with guarded_proxy(outbound(), only=frozenset({("example.com", 80)})) as proxy:
        with contextlib.suppress(httpx.ProxyError):
            assert (await get(proxy, address)).status_code == 403
    host, port = target_of(address)
    assert proxy.problem is not None
    assert f"went on to {host}:{port}," in proxy.problem.message


async def test_who_does_not_know_its_password_gets_nowhere(stand_in: StandIn) -> None:
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        for url in (f"http://127.0.0.1:{proxy.port}", f"http://modelwire:wrong@127.0.0.1:{proxy.port}"):
            async with httpx.AsyncClient(proxy=url, trust_env=False) as client:
                assert (await client.get(f"{stand_in.url}/v1/models", headers=HEADERS)).status_code == 407
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as other:
        stranger = httpx.URL(proxy.url).copy_with(port=other.port)
        async with httpx.AsyncClient(proxy=str(stranger), trust_env=False) as client:
            assert (await client.get(f"{stand_in.url}/v1/models", headers=HEADERS)).status_code == 407
    assert stand_in.requests == []


@pytest.mark.parametrize(
    "request_line",
    ["GET /v1/models HTTP/1.1", "GET ftp://127.0.0.1/ HTTP/1.1", "CONNECT 127.0.0.1:x HTTP/1.1", "CONNECT : HTTP/1.1"],
)
async def test_what_is_no_request_to_a_proxy(request_line: str) -> None:
    assert (await _raw(request_line)).startswith(b"HTTP/1.1 400")


async def test_a_body_of_unknown_length_is_refused() -> None:
    answer = await _raw("POST http://127.0.0.1:1/ HTTP/1.1", "Transfer-Encoding: chunked")
    assert answer.startswith(b"HTTP/1.1 411")


async def _raw(*lines: str) -> bytes:
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        credential = httpx.URL(proxy.url)
        authorization = httpx.BasicAuth(credential.username, credential.password)._auth_header
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write("\r\n".join((*lines, f"Proxy-Authorization: {authorization}", "", "")).encode())
        answer = await reader.read()
        writer.close()
        return answer


async def test_too_long_a_head_is_left() -> None:
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET http://127.0.0.1/ HTTP/1.1\r\n" + b"X: y\r\n" * 30_000)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_more_than_the_bytes_of_a_call_do_not_come(stand_in: StandIn) -> None:
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True, max_bytes=50_000)) as proxy:
        with pytest.raises(httpx.RemoteProtocolError):
            await get(proxy, f"{stand_in.url}/huge/models")
    assert proxy.problem is not None
    assert (proxy.problem.problem, proxy.problem.message) == (
        OutboundProblem.BAD_ANSWER,
        "more than 48 KiB were sent and answered",
    )


async def test_nobody_there() -> None:
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        assert (await get(proxy, "http://innocent.example:1/")).status_code == 502
    assert proxy.problem is not None
    assert proxy.problem.problem is OutboundProblem.CONNECTION
    async with guarded_proxy(outbound()) as proxy:
        assert (await get(proxy, "http://nowhere.example/")).status_code == 502
    assert proxy.problem is not None
    assert "cannot be resolved" in proxy.problem.message


async def test_a_tunnel_carries_what_is_sent_and_ends_with_the_block() -> None:
    ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(100):
            writer.write(chunk.upper())
        writer.close()
        ended.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        credential = httpx.URL(proxy.url)
        authorization = httpx.BasicAuth(credential.username, credential.password)._auth_header
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"CONNECT a.example:{port} HTTP/1.1\r\nProxy-Authorization: {authorization}\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
    async with asyncio.timeout(120):
        await ended.wait()
        assert await reader.read() == b""
    writer.close()
    server.close()


async def test_the_target_of_a_tunnel_has_to_prove_its_name(stand_in: StandIn) -> None:
    """A plain listener is no TLS server: what is sent through a tunnel is between the two ends."""
    async with guarded_proxy(outbound("127.0.0.1", private_addresses=True)) as proxy:
        with pytest.raises((httpx.ConnectError, ssl.SSLError)):
            await get(proxy, f"https://innocent.example:{stand_in.port}/v1/models")
    assert stand_in.requests == []
