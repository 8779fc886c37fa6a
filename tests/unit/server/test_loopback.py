"""By which names a server that asks nobody who they are may be called."""

from __future__ import annotations

import pytest

from modelwire.server.loopback import names_loopback
from modelwire.server.setting_values import is_loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8400", "LOCALHOST", "127.0.0.1", "127.0.0.1:8400", "127.1.2.3", "[::1]", "[::1]:8400"],
)
def test_names_of_this_machine(host: str) -> None:
    assert names_loopback([host])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8400",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example/localhost",
        "evil.example#@localhost",
        "evil.example@localhost",
        "@localhost",
        "localhost/",
        "localhost:port",
        "192.168.0.1",
        "0.0.0.0",
        "[::]",
        "[::1",
        "::1",
        "2130706433",
        "localhost evil.example",
    ],
)
def test_other_names(host: str) -> None:
    assert not names_loopback([host])


def test_there_is_one_host() -> None:
    assert not names_loopback([])
    assert not names_loopback(["localhost", "localhost"])


@pytest.mark.parametrize("host", ["", "::", "example.com", "10.0.0.1", "127.0.0.1.example.com", "fd00::1"])
def test_addresses_that_others_reach(host: str) -> None:
    assert not is_loopback(host)
