"""The load generator: one process, one loop over sockets that never block, which counts frames and reads none.

`python -m benchmarks.load` takes one command as JSON from each line of its standard input and answers with one line;
`loader.Load` writes them. Times are the monotonic clock's, in nanoseconds, which all processes of a machine share.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import sys
import time
from array import array
from collections import deque
from typing import Any

from .frames import CLOSE, HANDSHAKE, PING, PONG, TEXT, FrameCounter, client_frame
from .load_http import run_http

STDIN = 0

PATIENCE_SECONDS = 60.0
"""How long nothing may come at all."""

BATCH = 64
"""So many sockets are read before the clock is looked at for the probe."""

PROBE_SECONDS = 0.001
"""How long after the answer to a probe the next one is sent."""


class Load:
    """All sockets of this process. A text frame shorter than `min_bytes` (a bookmark, a pong) counts as none."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._counters: dict[int, FrameCounter] = {}
        self._stage: dict[int, deque[bytes]] = {}
        """What is still to be sent while a socket is being opened: each part when the one before is answered."""
        self._min_bytes = 0
        self._buffer = bytearray(1 << 16)
        self._view = memoryview(self._buffer)
        self._arrivals = array("q")
        self._churn: deque[tuple[str, bytes]] = deque()
        self._operation: dict[int, str] = {}
        self._probe = self._probe_sent = self._probe_due = 0
        self._waits = array("q")

    def next_line(self) -> bytes:
        """The next line of standard input; empty at its end. Meanwhile pings are answered, as subscribers do."""
        self._arrivals = array("q")
        self._epoll.register(STDIN, select.EPOLLIN)
        line = b""
        while not line.endswith(b"\n"):
            for fd, _ in self._epoll.poll():
                if fd != STDIN:
                    self._read(fd)
                elif data := os.read(STDIN, 1 << 20):
                    line += data
                else:
                    return b""
        self._epoll.unregister(STDIN)
        return line

    def open(self, *, port: int, count: int, path: str, init: str, subscribe: str, window: int, min_bytes: int) -> Any:
        """Open sockets, at most `window` at a time, and see the first frame of each. `%d` in `init` is its number."""
        self._min_bytes = min_bytes
        self._arrivals = array("q")
        handshake = HANDSHAKE.format(path=path, port=port).encode()
        began, cpu = time.monotonic_ns(), time.process_time()
        opened = 0
        while len(self._arrivals) < count:
            while opened < count and opened - len(self._arrivals) < window:
                parts = [handshake, _text(init.replace("%d", str(opened))), _text(subscribe.replace("%d", str(opened)))]
                self._connect(port, parts)
                opened += 1
            self._poll(PATIENCE_SECONDS)
        return self._summary(began, cpu)

    def _connect(self, port: int, parts: list[bytes]) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(("127.0.0.1", port))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._stage[fd] = deque(parts)
        self._epoll.register(fd, select.EPOLLOUT)

    def expect(self, *, frames: int, probe: bool) -> Any:
        """Say that it listens, then wait for so many frames. With `probe`: pings on one socket meanwhile."""
        self._arrivals = array("q")
        self._waits = array("q")
        began, cpu = time.monotonic_ns(), time.process_time()
        if probe:
            self._probe = next(iter(self._sockets))
            self._send_probe()
        _say({"ready": True})
        # What the last probe waits for is told too: it may have waited for all that came.
        while len(self._arrivals) < frames or self._probe_sent:
            self._poll(PROBE_SECONDS if self._probe else PATIENCE_SECONDS)
            if len(self._arrivals) >= frames:
                self._probe_due = sys.maxsize
        self._probe = self._probe_due = 0
        return {**self._summary(began, cpu), "longest_wait": max(self._waits, default=0)}

    def hold(self, *, seconds: float) -> Any:
        """Do as idle subscribers do: read what comes."""
        self._arrivals = array("q")
        began, cpu = time.monotonic_ns(), time.process_time()
        while (passed := (time.monotonic_ns() - began) / 1e9) < seconds:
            self._poll(seconds - passed)
        return self._summary(began, cpu)

    def churn(self, *, total: int, subscribe: str) -> Any:
        """End the operation of a socket and begin the next, whenever its first frame came, until there were so many.

        Each socket has one operation open, with the id `first`; `%d` in `subscribe` is that of the next.
        """
        self._arrivals = array("q")
        began, cpu = time.monotonic_ns(), time.process_time()
        for number in range(total):
            text = subscribe.replace("%d", str(number))
            self._churn.append((json.loads(text)["id"], _text(text)))
        if not self._operation:
            self._operation = dict.fromkeys(self._sockets, "first")
        for fd in self._sockets:
            self._go_on(fd)
        while len(self._arrivals) < total:
            self._poll(PATIENCE_SECONDS)
        return self._summary(began, cpu)

    def _go_on(self, fd: int) -> None:
        operation, subscribe = self._churn.popleft()
        complete = _text(json.dumps({"type": "complete", "id": self._operation[fd]}))
        self._sockets[fd].send(complete + subscribe)
        self._operation[fd] = operation

    def close(self) -> Any:
        """Close all sockets, as who is gone."""
        for fd, sock in self._sockets.items():
            self._epoll.unregister(fd)
            sock.close()
        self._sockets.clear()
        self._counters.clear()
        return {}

    def _poll(self, timeout_seconds: float) -> None:
        events = self._epoll.poll(timeout_seconds, BATCH)
        if not events and timeout_seconds >= PATIENCE_SECONDS:
            raise TimeoutError(f"nothing came any more after {len(self._arrivals)} frames")
        for fd, _ in events:
            if fd in self._stage:
                self._advance(fd)
            else:
                self._read(fd)
        if self._probe and not self._probe_sent and time.monotonic_ns() > self._probe_due:
            self._send_probe()

    def _advance(self, fd: int) -> None:
        """A socket that is being opened is writable, or was answered: the next part, or all is sent."""
        sock, parts = self._sockets[fd], self._stage[fd]
        if len(parts) == 3:
            self._epoll.modify(fd, select.EPOLLIN)
        elif len(parts) == 2:
            answer = sock.recv(4096)
            if not answer.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(f"a socket was not opened: {answer!r}")
            self._counters[fd] = FrameCounter()
        else:
            data = sock.recv(4096)
            if not data:
                raise ConnectionError("the server cut a socket that was being opened")
            frames = list(self._counters[fd].feed(data))
            for kind, _, payload in frames:
                if kind == PING:
                    sock.send(client_frame(PONG, payload))
                elif kind == CLOSE:
                    raise ConnectionError(f"the server closes a socket that is being opened: {payload!r}")
            if all(kind != TEXT for kind, _, _ in frames):
                return
        sock.send(parts.popleft())
        if not parts:
            del self._stage[fd]

    def _read(self, fd: int) -> None:
        size = self._sockets[fd].recv_into(self._buffer)
        counter = self._counters[fd]
        buffer = self._buffer
        # One whole frame of the usual length: what nearly all of them are.
        if buffer[0] == TEXT and buffer[1] == 126 and counter.between_frames:
            length = buffer[2] << 8 | buffer[3]
            if size == length + 4:
                self._frame(fd, TEXT, length)
                return
        if not size:
            raise ConnectionError("the server cut a socket")
        for kind, length, payload in counter.feed(bytes(self._view[:size])):
            self._frame(fd, kind, length, payload)

    def _frame(self, fd: int, kind: int, length: int, payload: bytes = b"") -> None:
        if kind == TEXT:
            if length >= self._min_bytes:
                self._arrivals.append(time.monotonic_ns())
                if self._churn:
                    self._go_on(fd)
        elif kind == PING:
            self._sockets[fd].send(client_frame(PONG, payload))
        elif kind == PONG:
            now = time.monotonic_ns()
            self._waits.append(now - self._probe_sent)
            self._probe_sent, self._probe_due = 0, now + int(PROBE_SECONDS * 1e9)
        elif kind == CLOSE:
            raise ConnectionError(f"the server closes a socket: {payload!r}")

    def _send_probe(self) -> None:
        self._probe_sent = time.monotonic_ns()
        self._sockets[self._probe].send(client_frame(PING))

    def _summary(self, began: int, cpu: float) -> dict[str, Any]:
        arrivals = self._arrivals
        return {
            "began": began,
            "first": arrivals[0] if arrivals else began,
            "last": arrivals[-1] if arrivals else began,
            "median": arrivals[len(arrivals) // 2] if arrivals else began,
            "p99": arrivals[len(arrivals) * 99 // 100] if arrivals else began,
            "frames": len(arrivals),
            "seconds": (time.monotonic_ns() - began) / 1e9,
            "cpu": time.process_time() - cpu,
        }


def _text(text: str) -> bytes:
    return client_frame(TEXT, text.encode())


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    load = Load()
    commands = {name: getattr(load, name) for name in ("open", "expect", "hold", "churn", "close")}
    commands["http"] = run_http
    while line := load.next_line():
        command = json.loads(line)
        try:
            _say(commands[command.pop("command")](**command))
        except (OSError, TimeoutError) as error:
            _say({"error": str(error)})


if __name__ == "__main__":
    main()
