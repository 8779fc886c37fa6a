"""What becomes of a model while the control plane changes its configuration."""

from __future__ import annotations

from typing import Any

from modelwire.subscriber import LinkState, ModelStatus

from .conftest import Plane, Signal, config


async def test_bootstrap_update_and_delete(plane: Plane, connect: Any, signal: Signal) -> None:
    await plane.put("general", version=1, name="first")
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    assert line.model.settings.model == "openai/first"
    await plane.put("general", version=2, name="second")
    await signal.until(lambda: line.model.version == 2)
    assert line.model.revision == plane.position
    await plane.remove("general")
    await signal.until(lambda: line.model.status is ModelStatus.NONE)
    assert line.history.statuses == ["initializing", "ready", "none"]
    assert line.history.versions == [1, 2, None]
    assert line.provider.link.state is LinkState.LIVE


async def test_an_alias_that_is_created_later(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await connect()
    await signal.until(lambda: line.model.status is ModelStatus.NONE)
    await plane.put("general", version=1)
    await line.model.wait_ready(timeout_seconds=120)
    assert line.history.statuses == ["initializing", "none", "ready"]


async def test_renamed_away_and_replaced_in_one_transaction(plane: Plane, connect: Any, signal: Signal) -> None:
    await plane.put("general", config_id="a", version=5)
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    await plane.transaction({"general": None, "old": config("old", "a", 6, "m")})
    await signal.until(lambda: line.model.status is ModelStatus.NONE)
    await plane.transaction({"general": config("general", "b", 1, "other")})
    await signal.until(lambda: line.model.version == 1)
    await plane.transaction({"old": None, "general": config("general", "a", 7, "back")})
    await signal.until(lambda: line.model.version == 7)
    assert line.history.statuses == ["initializing", "ready", "none", "ready"]
    assert line.history.versions == [5, None, 1, 7]


async def test_each_alias_has_its_own_operation_and_position(plane: Plane, connect: Any, signal: Signal) -> None:
    await plane.put("general", version=1)
    line = await connect()
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)
    await plane.put("planning", config_id="p", version=1)
    planning = line.get("planning")
    await planning.wait_ready(timeout_seconds=120)
    (socket,) = plane.sockets
    assert sorted(socket.open.values()) == ["general", "planning"]
    assert line.provider.link.state is LinkState.LIVE
    assert [status.state for status in line.links] == [LinkState.LIVE]
    await plane.put("planning", config_id="p", version=2)
    await signal.until(lambda: planning.version == 2)
    await socket.connection.close(1011)
    await signal.until(lambda: plane.sockets and plane.sockets[-1] is not socket and len(plane.sockets[-1].open) == 2)
    subscribes = plane.sockets[-1].messages("subscribe")
    since = {m["payload"]["variables"]["by"][0]["alias"]: m["payload"]["variables"]["since"] for m in subscribes}
    assert since == {"general": "one-1", "planning": "one-3"}


async def test_a_placeholder_and_a_refused_version(plane: Plane, connect: Any, signal: Signal) -> None:
    await plane.put("general", version=1)
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    await plane.put("general", version=2, api_key="os.environ/NOBODY_ALLOWED_THIS")
    await signal.until(lambda: plane.sockets)
    await plane.put("general", version=3, name="third")
    await signal.until(lambda: line.model.version == 3)
    placeholder = {**config("general", "a", 4, "m"), "configured": False, "litellmParams": None}
    await plane.transaction({"general": placeholder})
    await signal.until(lambda: line.model.status is ModelStatus.NONE)
    assert line.history.versions == [1, 3, None]
    assert line.history.statuses == ["initializing", "ready", "none"]


async def test_what_the_server_is_told(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await connect(token="mw_id_secret")
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)
    (init,) = plane.sockets[0].messages("connection_init")
    assert init["payload"]["authorization"] == "Bearer mw_id_secret"
    assert set(init["payload"]["component"]) == {"instanceId", "name", "kind", "libraryVersion", "labels"}
    assert plane.sockets[0].connection.subprotocol == "graphql-transport-ws"
    assert plane.sockets[0].connection.protocol.extensions == []
    assert plane.sockets[0].connection.request.path == "/graphql"


async def test_a_large_snapshot(plane: Plane, connect: Any) -> None:
    await plane.put("general", version=1, extra_body={"text": "x" * 3_000_000})
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    assert len(line.model.litellm_params()["extra_body"]["text"]) == 3_000_000


async def test_every_version_is_acknowledged_once(plane: Plane, connect: Any, signal: Signal) -> None:
    await plane.put("general", version=1)
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    await signal.until(lambda: len(plane.acknowledged) == 1)
    await plane.put("general", version=2, api_key="os.environ/NOBODY_ALLOWED_THIS")
    await signal.until(lambda: len(plane.acknowledged) == 2)
    (socket,) = plane.sockets
    instance = socket.received[0]["payload"]["component"]["instanceId"]
    applied, refused = plane.acknowledged
    assert applied.pop("secondsAgo") > 0
    assert applied == {
        "instanceId": instance,
        "id": "a",
        "version": 1,
        "outcome": "APPLIED",
        "reason": None,
        "message": None,
    }
    assert (refused["version"], refused["outcome"], refused["reason"]) == (2, "REFUSED", "missing_secret")
    assert "NOBODY_ALLOWED_THIS" in refused["message"]
    assert line.model.version == 1
