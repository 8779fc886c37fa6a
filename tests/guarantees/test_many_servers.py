"""Two and three servers on one PostgreSQL behind HAProxy, which ends TLS and takes a path prefix off: they, it, and
the database are killed, frozen and restarted under load, and every promise holds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from guarantees.databases import Database
from guarantees.rounds import promises_hold
from tls import make_tls

FAULTS = 90
SHARE = 15


@pytest.mark.parametrize("servers", [2, pytest.param(3, marks=pytest.mark.long)])
async def test_promises_hold_behind_a_load_balancer(
    servers: int, make_database: Callable[..., Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = make_tls(tmp_path)
    # What a component's operator does, too, for a certificate of an own authority.
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    await promises_hold(
        f"many servers.{servers}",
        "postgresql",
        make_database("postgresql", tmp_path),
        tmp_path,
        count=FAULTS,
        share=SHARE,
        servers=servers,
        tls=tls,
    )
