import pytest

from modelwire.subscriber import ConfigurationError
from modelwire.subscriber.address import websocket_url


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
