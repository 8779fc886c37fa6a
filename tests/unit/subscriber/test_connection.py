import pytest

from modelwire.subscriber.connection import _is_loopback, open_socket
from modelwire.subscriber.errors import ConnectionFailed
from modelwire.subscriber.timing import Timing


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


@pytest.mark.parametrize("host", ["modelwire..svc", "a" * 64 + ".example"])
async def test_a_name_that_no_host_can_have_is_an_unreachable_server(host: str) -> None:
    """It was taken for a bug of ours, with a traceback for each attempt."""
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        async with open_socket(f"ws://{host}:8400/graphql", Timing()):
            raise AssertionError("it is open")
