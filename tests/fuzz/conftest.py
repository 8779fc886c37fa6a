"""Random requests may name any host: nothing of it leaves this machine."""

from __future__ import annotations

import socket
from typing import Any

import pytest

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def refusing(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in {"127.0.0.1", "::1", "localhost", None}:
            raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is not looked up in this test")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", refusing)
    # For processes that the server starts.
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
