import pytest

from modelwire.subscriber import ConfigurationError
from modelwire.subscriber import connection as module
from modelwire.subscriber.connection import websocket_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8400", "ws://127.0.0.1:8400/graphql"),
        ("http://127.0.0.1:8400/", "ws://127.0.0.1:8400/graphql"),
        ("https://models.example.com", "wss://models.example.com/graphql"),
        ("https://example.com/modelwire/", "wss://example.com/modelwire/graphql"),
        ("https://example.com/modelwire/graphql", "wss://example.com/modelwire/graphql"),
        ("ws://[::1]:8400", "ws://[::1]:8400/graphql"),
        ("WSS://example.com", "wss://example.com/graphql"),
    ],
)
def test_websocket_url(url: str, expected: str) -> None:
    assert websocket_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8400",
        "localhost:8400",
        "example.com",
        "ftp://example.com",
        "http://",
        "http:///path",
        "http://example.com:port",
        "http://example.com:99999",
        "http://[::1",
        "http://example.com/?a=b",
        "http://example.com/#a",
    ],
)
def test_a_malformed_address_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        websocket_url(url)
    assert repr(url) in str(caught.value)


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        websocket_url("http://user:canary-secret@example.com")
    assert "canary-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("ws://localhost:1/graphql", True),
        ("ws://a.localhost/graphql", True),
        ("ws://127.8.9.1/graphql", True),
        ("ws://[::1]:1/graphql", True),
        ("ws://10.0.0.1/graphql", False),
        ("ws://localhost.example.com/graphql", False),
    ],
)
def test_only_loopback_goes_past_the_proxy(url: str, loopback: bool) -> None:
    assert module._is_loopback(url) is loopback
