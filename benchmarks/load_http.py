"""HTTP requests of the load generator: some connections that are kept, each with one request under way."""

from __future__ import annotations

import select
import socket
import time
from array import array
from typing import Any


def run_http(*, port: int, heads: str, bodies: list[list[str]], total: int, first: int, each: int | None) -> Any:
    """Send `total` requests, at most `each` (None: any number) on one connection.

    Each list of `bodies` is one connection's: its requests in turn, over and over.

    `%d` in a body is `first` and how often that list was gone through. `heads` is a request's head without its length.
    """
    epoll = select.epoll()
    connections = {}
    for texts in bodies:
        connection = _Connection(port, heads, texts, first)
        connections[connection.fileno] = connection
        epoll.register(connection.fileno, select.EPOLLIN)
    latencies = array("q")
    began, cpu = time.monotonic_ns(), time.process_time()
    for sent, connection in enumerate(connections.values(), 1):
        connection.send()
        if sent == total:
            break
    while len(latencies) < total:
        for fd, _ in epoll.poll(30.0):
            latency = connections[fd].receive()
            if latency:
                latencies.append(latency)
                if sent < total and (each is None or connections[fd].sent < each):
                    connections[fd].send()
                    sent += 1
    seconds = (time.monotonic_ns() - began) / 1e9
    for connection in connections.values():
        connection.close()
    ordered = sorted(latencies)
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "median": ordered[len(ordered) // 2],
        "p99": ordered[len(ordered) * 99 // 100],
    }


class _Connection:
    def __init__(self, port: int, head: str, bodies: list[str], first: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.fileno = self._sock.fileno()
        self._head = head
        self._bodies = bodies
        self._first = first
        self.sent = 0
        self._at = 0
        self._received = b""

    def send(self) -> None:
        rounds, number = divmod(self.sent, len(self._bodies))
        body = self._bodies[number].replace("%d", str(self._first + rounds))
        self.sent += 1
        request = f"{self._head}content-length: {len(body.encode())}\r\n\r\n{body}"
        self._at = time.monotonic_ns()
        self._sock.sendall(request.encode())

    def receive(self) -> int:
        """How long the answer took, in nanoseconds; 0 while it is not whole. Raises ConnectionError for a bad one."""
        data = self._sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return 0
        if head[9:12] not in (b"200", b"304") or b'"errors"' in body or b'"__typename":"VersionConflict"' in body:
            raise ConnectionError(f"the answer was {self._received!r}")
        self._received = b""
        return time.monotonic_ns() - self._at

    def close(self) -> None:
        self._sock.close()


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0] or 0)
