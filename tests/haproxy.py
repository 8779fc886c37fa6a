"""HAProxy in front of servers: it ends TLS, takes a path prefix off, and says who asked."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path

import psutil
from ports import free_port
from tls import Tls

HAPROXY = Path("/usr/sbin/haproxy")
PREFIX = "/modelwire"
STOP_SECONDS = 120.0

_CONFIG = """
global
    maxconn 500
defaults
    mode http
    option forwardfor
    option redispatch
    retries 3
    timeout connect 2s
    timeout http-request 10s
    timeout client 60s
    timeout server 60s
    timeout tunnel 90s
    timeout check 1s
frontend browsers
    bind 127.0.0.1:{port} ssl crt {certificate} alpn h2,http/1.1
    http-request set-header X-Forwarded-Proto https
    http-request redirect location {prefix}/ if {{ path {prefix} }}
    http-request deny deny_status 404 unless {{ path_beg {prefix}/ }}
    http-request replace-path {prefix}/(.*) /\\1
    default_backend servers
backend servers
    balance leastconn
    option httpchk GET /healthz
    default-server check inter 300ms fall 3 rise 1 on-marked-down shutdown-sessions
"""


class HaProxy:
    """One process, which can be started again after `kill`."""

    def __init__(self, folder: Path, tls: Tls, servers: list[int]) -> None:
        assert HAPROXY.exists(), "install the package haproxy, as `make check` does for root"
        self.port = free_port()
        self.settings = {
            "MODELWIRE_PUBLIC_URL": f"https://127.0.0.1:{self.port}{PREFIX}",
            "MODELWIRE_TRUSTED_PROXIES": "127.0.0.1",
        }
        """What the servers behind it are told."""
        self.url = f"https://127.0.0.1:{self.port}{PREFIX}"
        self._file = folder / "haproxy.cfg"
        self._log = folder / "haproxy.log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"    server server-{number} 127.0.0.1:{each}" for number, each in enumerate(servers)]
        config = _CONFIG.format(port=self.port, certificate=tls.certificate, prefix=PREFIX)
        self._file.write_text(config + "\n".join(lines) + "\n")

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = await asyncio.to_thread(self._spawn)
        async with asyncio.timeout(STOP_SECONDS):
            while not self._listens():
                assert self._process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([HAPROXY, "-db", "-f", self._file], stdout=log, stderr=log)

    def _listens(self) -> bool:
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            connections = psutil.Process(self._process.pid).net_connections("tcp")
            return any(each.status == psutil.CONN_LISTEN for each in connections)
        return False

    async def kill(self) -> None:
        """`kill -9`: all connections through it break."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self._process.wait, STOP_SECONDS)
