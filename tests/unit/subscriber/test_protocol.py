import json
from typing import Any

import pytest

from modelwire.subscriber.errors import ProtocolError
from modelwire.subscriber.protocol import Acknowledged, Completed, Failed, Next, Pinged, Ponged, Protocol


def receive(protocol: Protocol, **message: Any) -> Any:
    return protocol.receive(json.dumps(message))


@pytest.fixture
def protocol() -> Protocol:
    protocol = Protocol()
    receive(protocol, type="connection_ack")
    return protocol


def test_init_carries_the_payload() -> None:
    message = json.loads(Protocol().init({"authorization": "Bearer x"}))
    assert message == {"type": "connection_init", "payload": {"authorization": "Bearer x"}}


@pytest.mark.parametrize(
    ("message", "expires_at"),
    [
        ({}, None),
        ({"payload": None}, None),
        ({"payload": {}}, None),
        ({"payload": {"tokenExpiresAt": None}}, None),
        ({"payload": {"tokenExpiresAt": "2026-01-01T00:00:00Z"}}, "2026-01-01T00:00:00Z"),
    ],
)
def test_acknowledgement(message: dict[str, Any], expires_at: str | None) -> None:
    assert receive(Protocol(), type="connection_ack", **message) == Acknowledged(expires_at)


def test_nothing_is_subscribed_before_the_acknowledgement() -> None:
    with pytest.raises(RuntimeError):
        Protocol().subscribe({"query": "…"})


def test_operations_have_ids_of_their_own(protocol: Protocol) -> None:
    first, text = protocol.subscribe({"query": "a"})
    second, _ = protocol.subscribe({"query": "b"})
    assert json.loads(text) == {"type": "subscribe", "id": first, "payload": {"query": "a"}}
    assert first != second
    assert receive(protocol, type="next", id=second, payload={"data": 1}) == Next(second, 1, ())
    assert receive(protocol, type="next", id=first, payload={"data": None, "errors": [{"message": "m"}]}) == Next(
        first, None, ({"message": "m"},)
    )


def test_an_operation_ends_once(protocol: Protocol) -> None:
    first, _ = protocol.subscribe({})
    second, _ = protocol.subscribe({})
    assert receive(protocol, type="complete", id=first) == Completed(first)
    assert receive(protocol, type="complete", id=first) is None
    assert receive(protocol, type="error", id=second, payload=[{"message": "m"}]) == Failed(second, ({"message": "m"},))
    assert receive(protocol, type="next", id=second, payload={"data": 1}) is None


def test_what_was_under_way_for_an_operation_that_we_ended_is_ignored(protocol: Protocol) -> None:
    id_, _ = protocol.subscribe({})
    assert json.loads(protocol.complete(id_)) == {"type": "complete", "id": id_}
    assert receive(protocol, type="next", id=id_, payload={"data": 1}) is None
    assert receive(protocol, type="complete", id=id_) is None


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {"authorization": "Bearer other"}}])
def test_ping_is_answered_without_its_payload(protocol: Protocol, payload: dict[str, Any]) -> None:
    event = receive(protocol, type="ping", **payload)
    assert isinstance(event, Pinged)
    assert json.loads(event.reply) == {"type": "pong"}


def test_ping_is_answered_before_the_acknowledgement() -> None:
    assert isinstance(receive(Protocol(), type="ping"), Pinged)


def test_pong(protocol: Protocol) -> None:
    assert json.loads(protocol.ping()) == {"type": "ping"}
    assert receive(protocol, type="pong") == Ponged({})
    assert receive(protocol, type="pong", payload={"error": "no"}) == Ponged({"error": "no"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"text"',
        "{}",
        "{",
        '{"type":1}',
        '{"type":"unknown"}',
        '{"type":"subscribe","id":"1","payload":{}}',
        '{"type":"next","id":"1"}',
        '{"type":"next","id":1,"payload":{}}',
        '{"type":"next","id":"1","payload":[]}',
        '{"type":"next","id":"1","payload":{"errors":{}}}',
        '{"type":"next","id":"1","payload":{"errors":["text"]}}',
        '{"type":"next","id":"2","payload":{"data":1}}',
        '{"type":"next","id":"0","payload":{"data":1}}',
        '{"type":"next","id":"x","payload":{"data":1}}',
        '{"type":"next","id":"²","payload":{"data":1}}',
        '{"type":"error","id":"1","payload":{}}',
        '{"type":"error","id":"2","payload":[]}',
        '{"type":"complete"}',
        '{"type":"complete","id":["1"]}',
        '{"type":"pong","payload":"text"}',
        '{"type":"connection_ack"}',
        "[" * 100_000,
        b'{"type":"ping"}',
    ],
)
def test_malformed_messages(protocol: Protocol, text: str | bytes) -> None:
    protocol.subscribe({})
    with pytest.raises(ProtocolError):
        protocol.receive(text)
