"""The graphql-transport-ws core: every message that a client may send, and every one that it may not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.server.graphql.protocol import (
    CloseCode,
    Complete,
    Component,
    Init,
    Ping,
    Protocol,
    ProtocolViolation,
    Renew,
    State,
    Subscribe,
    close_reason,
    complete_frame,
    error_frame,
    next_frame,
    pong_frame,
)
from modelwire.server.graphql.request import GraphQLRequest


def send(protocol: Protocol, **message: Any) -> Any:
    return protocol.receive(json.dumps(message))


def acknowledged() -> Protocol:
    protocol = Protocol()
    send(protocol, type="connection_init")
    protocol.acknowledge({})
    return protocol


def subscribe(protocol: Protocol, operation_id: Any = "1", **payload: Any) -> Any:
    return send(protocol, type="subscribe", id=operation_id, payload={"query": "{ a }", **payload})


def test_a_connection_goes_from_open_to_acknowledged() -> None:
    protocol = Protocol()
    assert protocol.state is State.OPEN
    assert send(protocol, type="connection_init") == Init(None, None)
    assert protocol.state is State.INITIALIZING
    assert json.loads(protocol.acknowledge({"tokenExpiresAt": None})) == {
        "type": "connection_ack",
        "payload": {"tokenExpiresAt": None},
    }
    assert protocol.state is State.ACKNOWLEDGED


@pytest.mark.parametrize("payload", [None, {}, {"authorization": None, "component": None}, {"other": 1}])
def test_init_may_say_nothing(payload: Any) -> None:
    assert send(Protocol(), type="connection_init", payload=payload) == Init(None, None)


def test_init_tells_credential_and_component() -> None:
    component = {"instanceId": "i", "name": "n", "kind": "agent", "libraryVersion": "1.0", "labels": {"zone": "a"}}
    event = send(Protocol(), type="connection_init", payload={"authorization": "Bearer t", "component": component})
    assert event == Init(
        "Bearer t",
        Component(instance_id="i", name="n", kind="agent", library_version="1.0", labels={"zone": "a"}),
    )
    assert "Bearer" not in repr(event)


@pytest.mark.parametrize(
    ("component", "reason"),
    [
        ("text", "it must be an object"),
        ([], "it must be an object"),
        ({}, "instanceId"),
        ({"instanceId": "i"}, "name"),
        ({"instanceId": "", "name": "n"}, "instanceId"),
        ({"instanceId": 1, "name": "n"}, "instanceId"),
        ({"instanceId": "i\x00", "name": "n"}, "instanceId"),
        ({"instanceId": "i", "name": "n\n"}, "name"),
        ({"instanceId": "i" * 201, "name": "n"}, "instanceId"),
        ({"instanceId": "i", "name": "n", "kind": 5}, "kind"),
        ({"instanceId": "i", "name": "n", "libraryVersion": "v" * 201}, "libraryVersion"),
        ({"instanceId": "i", "name": "n", "labels": []}, "labels"),
        ({"instanceId": "i", "name": "n", "labels": {"a": {"b": "c"}}}, "labels"),
        ({"instanceId": "i", "name": "n", "labels": {"a": "v" * 201}}, "labels"),
        ({"instanceId": "i", "name": "n", "labels": {"k" * 201: "v"}}, "labels"),
        ({"instanceId": "i", "name": "n", "labels": {str(i): "" for i in range(33)}}, "labels"),
    ],
)
def test_a_component_is_checked(component: Any, reason: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        send(Protocol(), type="connection_init", payload={"component": component})
    assert caught.value.code == CloseCode.INVALID_MESSAGE
    assert caught.value.reason.startswith("Invalid component: ")
    assert reason in caught.value.reason


def test_a_component_at_its_bounds_is_accepted() -> None:
    labels = {f"{i}".ljust(200, "k"): "v" * 200 for i in range(32)}
    event = send(
        Protocol(),
        type="connection_init",
        payload={"component": {"instanceId": "i" * 200, "name": "n" * 200, "labels": labels, "newer": True}},
    )
    assert event.component == Component(instance_id="i" * 200, name="n" * 200, labels=labels)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "7",
        '"connection_init"',
        "{}",
        '{"type": null}',
        '{"type": ["ping"]}',
        '{"type": "nonsense"}',
        '{"type": "next", "id": "1", "payload": {}}',
        '{"type": "connection_ack"}',
        '{"type": "connection_init", "payload": "text"}',
        '{"type": "connection_init", "payload": []}',
        '{"type": "connection_init", "payload": {"authorization": 5}}',
        '{"type": "ping", "payload": "text"}',
        '{"type": "pong", "payload": []}',
        '{"type": "complete"}',
        '{"type": "complete", "id": 1}',
        '{"type": "subscribe", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": [], "payload": {"query": "{ a }"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": "text"}',
        '{"type": "subscribe", "id": "1", "payload": []}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": "text"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "operationName": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "extensions": []}}',
        '{"type": "ping", "payload": ' + '{"a":' * 150 + "1" + "}" * 150 + "}",
        '{"type": "ping", "payload": ' + "[" * 100_000,
        b"\x00\x01",
        b'{"type": "ping"}',
    ],
)
def test_an_invalid_message_is_4400(message: str | bytes) -> None:
    protocol = Protocol() if "connection_init" in str(message) else acknowledged()
    with pytest.raises(ProtocolViolation) as caught:
        protocol.receive(message)
    assert caught.value.code == CloseCode.INVALID_MESSAGE
    assert caught.value.reason.startswith("Invalid message: ")


@pytest.mark.parametrize("answered", [False, True])
def test_a_second_init_is_4429(answered: bool) -> None:
    protocol = Protocol()
    send(protocol, type="connection_init")
    if answered:
        protocol.acknowledge({})
    with pytest.raises(ProtocolViolation) as caught:
        send(protocol, type="connection_init")
    assert caught.value.code == CloseCode.TOO_MANY_INITS


@pytest.mark.parametrize("initialized", [False, True])
def test_subscribe_before_the_acknowledgement_is_4401(initialized: bool) -> None:
    protocol = Protocol()
    if initialized:
        send(protocol, type="connection_init")
    with pytest.raises(ProtocolViolation) as caught:
        subscribe(protocol)
    assert caught.value.code == CloseCode.UNAUTHORIZED


def test_subscribe_carries_the_whole_request() -> None:
    event = subscribe(acknowledged(), "a", operationName="A", variables={"x": 1}, extensions={"y": 2})
    assert event == Subscribe(
        "a", GraphQLRequest(query="{ a }", operation_name="A", variables={"x": 1}, extensions={"y": 2})
    )


def test_null_parts_of_a_request_are_absent_parts() -> None:
    event = subscribe(acknowledged(), operationName=None, variables=None, extensions=None)
    assert event.request == GraphQLRequest(query="{ a }")


def test_an_id_in_use_is_4409() -> None:
    protocol = acknowledged()
    subscribe(protocol, "1")
    subscribe(protocol, "2")
    with pytest.raises(ProtocolViolation) as caught:
        subscribe(protocol, "1")
    assert caught.value.code == CloseCode.DUPLICATE_ID
    assert caught.value.reason == "Subscriber for 1 already exists"


def test_an_id_is_free_again_after_the_client_completes_or_the_operation_ends() -> None:
    protocol = acknowledged()
    subscribe(protocol)
    assert send(protocol, type="complete", id="1") == Complete("1")
    assert isinstance(subscribe(protocol), Subscribe)
    protocol.release("1")
    assert isinstance(subscribe(protocol), Subscribe)


def test_complete_of_an_operation_that_is_over_is_ignored() -> None:
    protocol = acknowledged()
    assert send(protocol, type="complete", id="1") is None
    subscribe(protocol)
    protocol.release("1")
    assert send(protocol, type="complete", id="1") is None


def test_ping_is_an_event_and_pong_never_is() -> None:
    for protocol in (Protocol(), acknowledged()):
        for payload in ({}, {"payload": None}, {"payload": {"a": 1}}):
            assert send(protocol, type="ping", **payload) == Ping()
        before = protocol.state
        assert send(protocol, type="pong", payload={"authorization": "Bearer t"}) is None
        assert protocol.state is before


def test_a_ping_with_a_credential_renews() -> None:
    event = send(acknowledged(), type="ping", payload={"authorization": "Bearer t", "a": 1})
    assert event == Renew("Bearer t")
    assert "Bearer" not in repr(event)


@pytest.mark.parametrize("authorization", [None, 5, True, [], {"a": "Bearer t"}])
def test_a_malformed_credential_is_refused_in_the_pong(authorization: Any) -> None:
    for protocol in (Protocol(), acknowledged()):
        event = send(protocol, type="ping", payload={"authorization": authorization})
        assert event == Ping("authorization must be a string: Bearer and a token")


def test_nothing_is_renewed_before_the_acknowledgement() -> None:
    protocol = Protocol()
    for _ in ("open", "initializing"):
        event = send(protocol, type="ping", payload={"authorization": "Bearer t"})
        assert isinstance(event, Ping)
        assert "after connection_ack" in (event.error or "")
        if protocol.state is State.OPEN:
            send(protocol, type="connection_init")
    with pytest.raises(ProtocolViolation):
        subscribe(protocol)


def test_frames() -> None:
    assert json.loads(next_frame('a"b\u00e9', b'{"data":{"x":"\xc3\xa9"}}')) == {
        "id": 'a"b\u00e9',
        "type": "next",
        "payload": {"data": {"x": "\u00e9"}},
    }
    assert json.loads(error_frame("1", [{"message": "m"}])) == {
        "id": "1",
        "type": "error",
        "payload": [{"message": "m"}],
    }
    assert json.loads(complete_frame("1")) == {"id": "1", "type": "complete"}
    assert json.loads(pong_frame()) == {"type": "pong"}
    assert json.loads(pong_frame({"error": "e"})) == {"type": "pong", "payload": {"error": "e"}}


def test_a_close_reason_fits_its_frame() -> None:
    assert close_reason("short") == "short"
    assert close_reason("\u00e9" * 100) == "\u00e9" * 61
    long_id = "x" * 1000
    protocol = acknowledged()
    subscribe(protocol, long_id)
    with pytest.raises(ProtocolViolation) as caught:
        subscribe(protocol, long_id)
    assert len(close_reason(caught.value.reason).encode()) == 123
