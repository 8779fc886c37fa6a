import pytest

from modelwire.subscriber.connection import _is_loopback


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
    assert _is_loopback(url) is loopback
