"""A forward proxy on loopback for calls of libraries that cannot be given a client: it connects to checked addresses.

It serves one call and ends with it. Whoever uses it has to know its password, which only the process that makes the
call is told, so it opens the network to no other process of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .outbound import Outbound, OutboundError, OutboundProblem

_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_CONNECTIONS: Final = 32
_CHUNK_BYTES: Final = 64 * 1024
_USER: Final = "modelwire"
# Those that are between two neighbours, and would give the target what is meant for the proxy.
_OF_THE_HOP: Final = frozenset({"proxy-authorization", "proxy-connection", "connection", "keep-alive"})

Target = tuple[str, int]
"""A host name or IP address in lower case, and a port."""


def target_of(address: str) -> Target:
    """The target of an http or https address."""
    parts = urlsplit(address)
    return ((parts.hostname or "").rstrip("."), parts.port or (80 if parts.scheme == "http" else 443))


class _Refused(Exception):
    """The client is answered with this status and text."""

    def __init__(self, status: str, message: str, *headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The head of a request: `path` None is a tunnel, `headers` are lines of it, `length` is that of its body."""

    method: str
    target: Target
    path: str | None
    headers: tuple[str, ...]
    length: int


class GuardedProxy:
    """A running proxy. `problem` is the first reason for which it did not reach a target, None when there was none."""

    def __init__(self, outbound: Outbound, only: frozenset[Target] | None) -> None:
        self.problem: OutboundError | None = None
        self.port = 0
        self._outbound = outbound
        self._only = only
        self._password = secrets.token_urlsafe(32)
        self._left = outbound.policy.max_bytes
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address with the password in it."""
        return f"http://{_USER}:{self._password}@127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to answer a connection."""
        if len(self._serving) >= _MAX_CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def end(self) -> None:
        """Cut all connections."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # When the client or the target goes away, the client sees that its connection ends.
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            try:
                await self._answer(reader, writer)
            finally:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = self._parse(await reader.readuntil(b"\r\n\r\n"))
            target_reader, target_writer = await self._connect(head.target)
        except _Refused as refused:
            body = refused.message.encode()
            lines = (f"HTTP/1.1 {refused.status}", f"Content-Length: {len(body)}", "Connection: close")
            writer.write("\r\n".join((*lines, *refused.headers, "", "")).encode() + body)
            await writer.drain()
            return
        try:
            if head.path is None:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await self._both_ways((reader, target_writer), (target_reader, writer))
            else:
                target_writer.write(_request(head))
                # Not a byte more: a second request could be meant for another target.
                await self._both_ways((reader, target_writer, head.length), (target_reader, writer))
        finally:
            target_writer.close()

    def _parse(self, head: bytes) -> _Head:
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._authenticate(headers.get("proxy-authorization", ""))
        try:
            method, address, _ = first.split(" ")
            parts = urlsplit("" if method == "CONNECT" else address)
            target = _tunnel(address) if method == "CONNECT" else _target(parts, headers.get("host", ""))
            length = int(headers.get("content-length", "0"))
        except ValueError:
            raise _Refused("400 Bad Request", "this is no request to a proxy") from None
        if not target[0] or length < 0 or (method != "CONNECT" and parts.scheme != "http"):
            raise _Refused("400 Bad Request", "this is no request to a proxy")
        if "transfer-encoding" in headers or "upgrade" in headers:
            raise _Refused("411 Length Required", "a request needs its length in its head")
        kept = tuple(line for line in lines if line.partition(":")[0].strip().lower() not in _OF_THE_HOP)
        path = None if method == "CONNECT" else parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        return _Head(method=method, target=target, path=path, headers=kept, length=length)

    def _authenticate(self, given: str) -> None:
        expected = "Basic " + base64.b64encode(f"{_USER}:{self._password}".encode()).decode()
        if not hmac.compare_digest(given.encode("latin-1"), expected.encode()):
            raise _Refused("407 Proxy Authentication Required", "this is not your proxy", "Proxy-Authenticate: Basic")

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = target
        try:
            if self._only is not None and target not in self._only:
                message = f"the call went on to {host}:{port}, which is not where the config says that it goes"
                raise OutboundError(OutboundProblem.BLOCKED, message)
            for address in await self._outbound.allowed_addresses(host, port):
                with contextlib.suppress(OSError):
                    return await asyncio.open_connection(str(address), port)
            raise OutboundError(OutboundProblem.CONNECTION, f"nobody answers at {host}:{port}")
        except OutboundError as error:
            self.problem = self.problem or error
            blocked = error.problem is OutboundProblem.BLOCKED
            raise _Refused("403 Forbidden" if blocked else "502 Bad Gateway", error.message) from None

    async def _both_ways(
        self,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter]
        | tuple[asyncio.StreamReader, asyncio.StreamWriter, int],
        back: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Copy until the way back ends."""
        sending = asyncio.create_task(self._copy(*there))
        try:
            await self._copy(*back)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None = None
    ) -> None:
        """Copy to the end, or so many bytes."""
        while length is None or length > 0:
            chunk = await reader.read(_CHUNK_BYTES if length is None else min(length, _CHUNK_BYTES))
            if not chunk:
                return
            self._left -= len(chunk)
            if self._left < 0:
                limit = self._outbound.policy.max_bytes // 1024
                self.problem = self.problem or OutboundError(
                    OutboundProblem.BAD_ANSWER, f"more than {limit} KiB were sent and answered"
                )
                return
            if length is not None:
                length -= len(chunk)
            writer.write(chunk)
            await writer.drain()


def _tunnel(address: str) -> Target:
    host, _, port = address.rpartition(":")
    return (host.strip("[]").lower().rstrip("."), int(port))


def _target(parts: SplitResult, host_header: str) -> Target:
    # httpcore leaves out the brackets around an IPv6 address in the one, and not in the other.
    without_brackets = parts.netloc.count(":") > 1 and "]" not in parts.netloc
    there = urlsplit(f"//{host_header}") if without_brackets or not parts.hostname else parts
    return ((there.hostname or "").rstrip("."), there.port or 80)


def _request(head: _Head) -> bytes:
    lines = (f"{head.method} {head.path} HTTP/1.1", *head.headers, "Connection: close", "", "")
    return "\r\n".join(lines).encode("latin-1")


@contextlib.asynccontextmanager
async def guarded_proxy(outbound: Outbound, *, only: frozenset[Target] | None = None) -> AsyncIterator[GuardedProxy]:
    """A proxy for one call, as long as the block lasts. With `only` it reaches these targets and no others."""
    proxy = GuardedProxy(outbound, only)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
