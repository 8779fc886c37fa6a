"""The one way for the server to call out: to addresses that are allowed, for a bounded time, for a bounded answer.

Whoever may test a config chooses where the server calls. So a name is resolved once, each of its addresses is checked,
and the connection goes to a checked address and to no other: a name that resolves to something else a moment later, a
redirect, and a proxy of the environment lead nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

import httpx

from ..store import Json

logger = logging.getLogger(__name__)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host name. Raises OSError when it has none."""

# Where clouds answer with the credentials of the machine, besides the link-local 169.254.169.254 that most have.
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7"),
    )
)
# IPv6 addresses that carry an IPv4 address in which a packet ends, by its distance from the right in bits.
_EMBEDDING: Final = tuple(
    (ipaddress.IPv6Network(text), shift)
    for text, shift in (
        *(("::/96", 0), ("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80)),
    )
)


class OutboundProblem(Enum):
    """Why there is no answer that could be used. The value is for logs."""

    BLOCKED = "blocked"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    AUTHENTICATION = "authentication"
    NOT_FOUND = "not_found"
    RATE_LIMIT = "rate_limit"
    BAD_REQUEST = "bad_request"
    PROVIDER = "provider"
    BAD_ANSWER = "bad_answer"


class OutboundError(Exception):
    """A call that did not give an answer. The text is for people: it holds neither a secret nor what was answered."""

    def __init__(self, problem: OutboundProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundPolicy:
    """Where the server may call, and what a call may cost.

    `allowed_hosts` are host names and IP addresses in lower case; when there are any, no other is called, and those
    may be private. `private_addresses` opens private and loopback addresses. Link-local and metadata addresses are
    open to nobody. `timeout_seconds` bounds a call as a whole, `max_bytes` its answer, and `max_concurrent` how many
    there are at a time; the others wait. A call that LiteLLM makes (`litellm_calls.py`) has bounds of its own, and
    none waits for another.
    """

    private_addresses: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    timeout_seconds: float = 10.0
    max_bytes: int = 4 * 1024 * 1024
    max_concurrent: int = 8
    litellm_timeout_seconds: float = 30.0
    max_concurrent_litellm: int = 4


async def _system_resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """Calls out under a policy. One for the whole process, for it bounds how many calls are made at a time."""

    policy: OutboundPolicy = OutboundPolicy()
    resolve: Resolve = _system_resolve
    _turns: asyncio.Semaphore = field(init=False, repr=False, compare=False)
    litellm_turns: asyncio.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_turns", asyncio.Semaphore(self.policy.max_concurrent))
        object.__setattr__(self, "litellm_turns", asyncio.Semaphore(self.policy.max_concurrent_litellm))

    async def allowed_addresses(self, host: str, port: int) -> list[IPAddress]:
        """The addresses of a host that may be connected to, at least one. Raises OutboundError."""
        name = host.lower().rstrip(".").strip("[]")
        listed = name in self.policy.allowed_hosts
        if self.policy.allowed_hosts and not listed:
            raise OutboundError(
                OutboundProblem.BLOCKED, f"{host} is not among the hosts of MODELWIRE_OUTBOUND_ALLOWED_HOSTS"
            )
        try:
            found = [ipaddress.ip_address(text) for text in await self.resolve(host, port)]
        except (OSError, UnicodeError):
            raise OutboundError(OutboundProblem.CONNECTION, f"the host name {host} cannot be resolved") from None
        private_allowed = listed or self.policy.private_addresses
        refusals = [refusal(address, private_allowed=private_allowed) for address in found]
        allowed = [address for address, refused in zip(found, refusals, strict=True) if refused is None]
        if not allowed:
            why = next((refused for refused in refusals if refused is not None), "no address")
            raise OutboundError(OutboundProblem.BLOCKED, f"{host} is {why}")
        return allowed

    async def get_json(
        self, url: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> Json:
        """The JSON that a GET of this http or https URL answers with. Raises OutboundError, and nothing else."""
        try:
            async with asyncio.timeout(self.policy.timeout_seconds), self._turns:
                return await self._get_json(url, headers or {}, params or {})
        except (TimeoutError, httpx.TimeoutException):
            message = f"there was no whole answer within {self.policy.timeout_seconds:g} seconds"
            raise OutboundError(OutboundProblem.TIMEOUT, message) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            # The text of a foreign error may hold the URL or a header: its type says enough.
            logger.info("a call out failed: %s", type(error).__name__)
            message = f"the connection failed ({type(error).__name__})"
            raise OutboundError(OutboundProblem.CONNECTION, message) from None

    async def _get_json(self, url: str, headers: Mapping[str, str], params: Mapping[str, str]) -> Json:
        transport = _GuardedTransport(self)
        # Not by the environment: its proxies would connect to what nobody checked.
        client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113 - bounded by the caller, as a whole
        # Uncompressed, as a small body could else become a huge one.
        asked = {"accept": "application/json", "user-agent": "modelwire", **headers, "accept-encoding": "identity"}
        async with client, client.stream("GET", url, headers=asked, params=params) as response:
            _check_status(response)
            return _parse(await self._read(response))

    async def _read(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise OutboundError(OutboundProblem.BAD_ANSWER, "the answer is compressed although nobody asked for that")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self.policy.max_bytes:
                message = f"the answer is larger than {self.policy.max_bytes // 1024} KiB"
                raise OutboundError(OutboundProblem.BAD_ANSWER, message)
        return bytes(body)


class _GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to addresses that it checked itself, in place of the host name."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._inner = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host.decode("ascii")
        addresses = await self._outbound.allowed_addresses(host, request.url.port or 0)
        # The certificate has to be the name's, which is in the Host header already.
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in addresses[:-1]:
            try:
                return await self._send(request, address)
            except httpx.ConnectError:
                continue
        return await self._send(request, addresses[-1])

    async def _send(self, request: httpx.Request, address: IPAddress) -> httpx.Response:
        request.url = request.url.copy_with(host=str(address))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def refusal(address: IPAddress, *, private_allowed: bool) -> str | None:
    """Why this address is not connected to, as the end of a sentence; None when it may be."""
    whole = ipaddress.IPv6Address(int(address)) if isinstance(address, ipaddress.IPv6Address) else address
    meant = _embedded(whole) or whole
    if meant in _METADATA or meant.is_link_local:
        return "a link-local or metadata address, which is never called"
    if any(meant in network for network in _PRIVATE if network.version == meant.version):
        if private_allowed:
            return None
        return "a private address: MODELWIRE_OUTBOUND_PRIVATE_ADDRESSES=true permits these"
    # What is left of the special ranges: unspecified, multicast, documentation, reserved, tunnels to anywhere.
    return None if meant.is_global and not meant.is_multicast else "an address that leads to no host of the internet"


def _embedded(address: IPAddress) -> IPAddress | None:
    if isinstance(address, ipaddress.IPv4Address) or address.is_loopback or address.is_unspecified:
        return None
    for network, shift in _EMBEDDING:
        if address in network:
            return ipaddress.IPv4Address((int(address) >> shift) & 0xFFFF_FFFF)
    return None


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: reading all certificate authorities takes tens of milliseconds."""
    return httpx.create_ssl_context()


_STATUS: Final[Mapping[int, tuple[OutboundProblem, str]]] = {
    401: (OutboundProblem.AUTHENTICATION, "the credentials were refused"),
    403: (OutboundProblem.AUTHENTICATION, "the credentials do not permit this"),
    404: (OutboundProblem.NOT_FOUND, "there is nothing at this address"),
    408: (OutboundProblem.TIMEOUT, "the provider gave up waiting"),
    429: (OutboundProblem.RATE_LIMIT, "the provider asks for fewer requests"),
}


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success:
        return
    if response.is_redirect:
        raise OutboundError(OutboundProblem.BLOCKED, "the answer is a redirect, which is not followed")
    if status in _STATUS:
        problem, text = _STATUS[status]
    elif response.is_client_error:
        problem, text = OutboundProblem.BAD_REQUEST, "the provider does not take the request"
    else:
        problem, text = OutboundProblem.PROVIDER, "the provider failed"
    raise OutboundError(problem, f"{text} (HTTP {status})")


def _parse(body: bytes) -> Json:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise OutboundError(OutboundProblem.BAD_ANSWER, "the answer is not JSON") from None
