"""Calls out: where they go, where they never go, and what they may cost."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from stand_ins.model_lists import KEY, StandIn, running_stand_in

from modelwire.resolvers.outbound import Outbound, OutboundError, OutboundPolicy, OutboundProblem, refusal


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running_stand_in() as running:
        yield running


def outbound(**policy: Any) -> Outbound:
    return Outbound(policy=OutboundPolicy(**{"private_addresses": True, **policy}))


async def refused(outbound: Outbound, url: str) -> OutboundError:
    with pytest.raises(OutboundError) as caught:
        await outbound.get_json(url, headers={"authorization": f"Bearer {KEY}"})
    assert KEY not in str(caught.value)
    return caught.value


NEVER = [
    *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254"),
    *("0.0.0.0", "::", "::ffff:0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "ff02::1", "2001::1"),
]
PRIVATE = [
    *("127.0.0.1", "127.8.9.10", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:0:127.0.0.1"),
]


@pytest.mark.parametrize("address", NEVER)
def test_addresses_that_are_open_to_nobody(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert refusal(parsed, private_allowed=True) is not None
    assert refusal(parsed, private_allowed=False) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_a_setting(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert refusal(parsed, private_allowed=True) is None
    assert "MODELWIRE_OUTBOUND_PRIVATE_ADDRESSES" in str(refusal(parsed, private_allowed=False))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_internet_are_open(address: str) -> None:
    assert refusal(ipaddress.ip_address(address), private_allowed=False) is None


async def test_an_answer(stand_in: StandIn) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    answer = await outbound().get_json(f"{stand_in.url}/v1/models", headers=headers)
    assert [model["id"] for model in answer["data"]] == ["gpt-b", "gpt-a"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]"])
async def test_every_way_to_write_loopback_is_closed_by_default(stand_in: StandIn, host: str) -> None:
    error = await refused(Outbound(), f"http://{host}:{stand_in.port}/v1/models")
    assert error.problem is OutboundProblem.BLOCKED
    assert stand_in.requests == []


async def test_a_name_that_resolves_to_loopback_is_closed_by_default(stand_in: StandIn) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    error = await refused(Outbound(resolve=resolve), f"http://innocent.example:{stand_in.port}/v1/models")
    assert error.problem is OutboundProblem.BLOCKED
    assert stand_in.requests == []


async def test_a_name_is_resolved_once_and_the_connection_goes_there(stand_in: StandIn) -> None:
    """A second look-up could give another address than the one that was checked."""
    asked = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    calls = Outbound(policy=OutboundPolicy(private_addresses=True), resolve=resolve)
    headers = {"authorization": f"Bearer {KEY}"}
    await calls.get_json(f"http://innocent.example:{stand_in.port}/v1/models", headers=headers)
    assert asked == ["innocent.example"]
    assert stand_in.requests[0][1]["host"] == f"innocent.example:{stand_in.port}"


async def test_of_several_addresses_only_allowed_ones_are_called(stand_in: StandIn) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["169.254.169.254", "127.0.0.1"]

    calls = Outbound(policy=OutboundPolicy(private_addresses=True), resolve=resolve)
    headers = {"authorization": f"Bearer {KEY}"}
    assert await calls.get_json(f"http://both.example:{stand_in.port}/v1/models", headers=headers)


async def test_with_allowed_hosts_no_other_is_called_and_those_may_be_private(stand_in: StandIn) -> None:
    calls = Outbound(policy=OutboundPolicy(allowed_hosts=frozenset({"127.0.0.1"})))
    headers = {"authorization": f"Bearer {KEY}"}
    assert await calls.get_json(f"{stand_in.url}/v1/models", headers=headers)
    error = await refused(calls, f"http://localhost:{stand_in.port}/v1/models")
    assert error.problem is OutboundProblem.BLOCKED
    assert "MODELWIRE_OUTBOUND_ALLOWED_HOSTS" in error.message
    assert len(stand_in.requests) == 1


async def test_an_allowed_host_opens_no_metadata_address() -> None:
    calls = Outbound(policy=OutboundPolicy(allowed_hosts=frozenset({"169.254.169.254"})))
    assert (await refused(calls, "http://169.254.169.254/")).problem is OutboundProblem.BLOCKED


async def test_the_proxy_of_the_environment_is_not_used(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    headers = {"authorization": f"Bearer {KEY}"}
    assert await outbound().get_json(f"{stand_in.url}/v1/models", headers=headers)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/redirect/models", OutboundProblem.BLOCKED),
        ("/status/400/models", OutboundProblem.BAD_REQUEST),
        ("/status/401/models", OutboundProblem.AUTHENTICATION),
        ("/status/403/models", OutboundProblem.AUTHENTICATION),
        ("/status/404/models", OutboundProblem.NOT_FOUND),
        ("/status/429/models", OutboundProblem.RATE_LIMIT),
        ("/status/500/models", OutboundProblem.PROVIDER),
        ("/text/models", OutboundProblem.BAD_ANSWER),
        ("/compressed/models", OutboundProblem.BAD_ANSWER),
    ],
)
async def test_errors_are_classified_and_show_nothing_of_the_answer(
    stand_in: StandIn, path: str, problem: OutboundProblem
) -> None:
    error = await refused(outbound(), stand_in.url + path)
    assert error.problem is problem
    assert len(stand_in.requests) == 1


async def test_a_huge_answer_is_left(stand_in: StandIn) -> None:
    error = await refused(outbound(max_bytes=50_000), f"{stand_in.url}/huge/models")
    assert (error.problem, error.message) == (OutboundProblem.BAD_ANSWER, "the answer is larger than 48 KiB")


async def test_an_answer_that_does_not_come_is_left(stand_in: StandIn) -> None:
    error = await refused(outbound(timeout_seconds=0.2), f"{stand_in.url}/never/models")
    assert error.problem is OutboundProblem.TIMEOUT


async def test_nobody_listens() -> None:
    assert (await refused(outbound(), "http://127.0.0.1:1/models")).problem is OutboundProblem.CONNECTION


async def test_a_name_that_is_none() -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such host")

    error = await refused(Outbound(resolve=resolve), "http://nowhere.example/")
    assert (error.problem, error.message) == (
        OutboundProblem.CONNECTION,
        "the host name nowhere.example cannot be resolved",
    )
