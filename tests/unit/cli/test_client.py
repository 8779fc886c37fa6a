"""Addresses and tokens that a command is given."""

from __future__ import annotations

import pytest

from modelwire.cli.client import GraphQLClient
from modelwire.cli.errors import CommandError, ExitCode


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8400", "ftp://host", "http://", "http://:8400", "http://[", "http://host:99999", "http://host:x"]
)
def test_what_is_no_address_is_refused_with_one_that_is(url: str) -> None:
    with pytest.raises(CommandError) as caught:
        GraphQLClient(url, None)
    assert caught.value.exit_code is ExitCode.USAGE
    assert str(caught.value) == (
        f"--url, or MODELWIRE_URL: {url!r} is no address of a server; write it as http://127.0.0.1:8400"
    )


@pytest.mark.parametrize("url", ["http://host", "http://host/", "http://host/graphql", "http://host/graphql/"])
def test_the_endpoint_is_found_behind_an_address(url: str) -> None:
    assert GraphQLClient(url, None).url == "http://host/graphql"


@pytest.mark.parametrize("token", ["mw_ä", "mw_\n", "a\x1bb", "mw_x ", "mw x"])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(CommandError) as caught:
        GraphQLClient("http://host", token)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "--token, or MODELWIRE_TOKEN" in str(caught.value)
    assert token not in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", "a\x7fb"])
def test_a_name_that_no_host_can_have_is_no_server(host: str) -> None:
    with pytest.raises(CommandError, match="no server answers at"):
        GraphQLClient(f"http://{host}:1", None).execute("{ __typename }")


def test_bytes_that_are_no_text_are_refused() -> None:
    """As Python gives them for arguments that are not in UTF-8."""
    with pytest.raises(CommandError, match="UTF-8") as caught:
        GraphQLClient("http://127.0.0.1:1", None).execute("{ __typename }", {"alias": "\udcff"})
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("proxy", ["ftp://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(CommandError, match="the proxy that the environment names cannot be used"):
        GraphQLClient("http://modelwire.example", None)
