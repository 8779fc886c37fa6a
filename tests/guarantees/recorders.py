"""Who records what it is told: watchers that speak the protocol themselves, and components with the real subscriber."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from guarantees.history import Applied, ComponentHistory, Connection, Event, Held, WatchHistory, position
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from modelwire.subscriber import DynamicModelProvider, LiteLlm, ModelSettings
from modelwire.subscriber.timing import Timing

SILENCE_SECONDS = 8.0
"""After so long without an event, several times the servers' `bookmark_seconds`, a watcher connects anew."""

TIMING = Timing(
    backoff_first_seconds=0.02,
    backoff_max_seconds=0.5,
    slow_seconds=1.0,
    spread_seconds=0.2,
    silence_seconds=SILENCE_SECONDS,
    ping_seconds=2.0,
    open_seconds=SILENCE_SECONDS,
    close_seconds=0.2,
)

_CONFIG = "id alias version revision configured model description maxInputTokens params"
DOCUMENTS = [
    f"""subscription ($by: [ModelConfigRef!], $since: Revision) {{ modelConfigChanged(by: $by, since: $since) {{
      __typename revision
      ... on ModelConfigSnapshot {{ reset modelConfigs {{ {_CONFIG} }} }}
      ... on ModelConfigChange {{ put {{ {_CONFIG} }} removed {{ id alias }} }} }} }}""",
    f"""subscription Watch($by: [ModelConfigRef!], $since: Revision) {{
      modelConfigChanged(since: $since, by: $by) {{ __typename ...Told }} }}
    fragment Told on ModelConfigEvent {{ revision
      ... on ModelConfigChange {{ removed {{ alias id }} put {{ ...Whole }} }}
      ... on ModelConfigSnapshot {{ modelConfigs {{ ...Whole }} reset }} }}
    fragment Whole on ModelConfig {{ createdAt updatedBy {_CONFIG} }}""",
]


class Signal:
    """Wakes whoever waits for a condition, each time that something was recorded."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def poke(self) -> None:
        self._event.set()

    async def until(self, condition: Callable[[], bool], timeout_seconds: float) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                self._event.clear()
                # What was told to another process is not announced here.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self._event.wait()


def value_of(*parts: Any) -> str:
    """One number when all fields are of the same version; all that differ when they are not."""
    return "/".join(sorted({str(part).rpartition("-")[2] for part in parts}))


def held(plain: dict[str, Any]) -> Held:
    """A config as `DOCUMENTS` ask for it."""
    parts = (plain["model"], plain["description"], plain["maxInputTokens"], plain["params"].get("seed"))
    value = value_of(*parts) if plain["configured"] else None
    return Held(plain["id"], plain["alias"], plain["version"], position(plain["revision"])[1], value)


def event(plain: dict[str, Any], at: float) -> Event:
    store, revision = position(plain["revision"])
    match plain["__typename"]:
        case "ModelConfigSnapshot":
            put = [held(each) for each in plain["modelConfigs"]]
            return Event(at, "snapshot", store, revision, put, reset=plain["reset"])
        case "ModelConfigChange":
            removed = [(each["id"], each["alias"]) for each in plain["removed"]]
            return Event(at, "change", store, revision, [held(each) for each in plain["put"]], removed)
        case _:
            return Event(at, "bookmark", store, revision)


Shown = tuple[str, str, float | None]
"""The name of a credential, the token, and when it is time for the next one."""


class Watcher:
    """One socket at a time, with some watches on it that go on where they were, for ever.

    `credential` gives the name and the token to come with, and when to show another one (None: never); it is then asked
    again, and the token shown on the open socket. `seed` decides which document it sends and when it forgets where it
    was.
    """

    def __init__(
        self,
        url: str,
        watches: list[WatchHistory],
        credential: Callable[[], Awaitable[Shown]],
        *,
        signal: Signal,
        seed: str,
        forgetful: bool = False,
    ) -> None:
        self.watches = watches
        self._url = url
        self._credential = credential
        self._signal = signal
        self._rng = random.Random(seed)
        self._document = self._rng.choice(DOCUMENTS)
        self._forgetful = forgetful
        self._heard: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            try:
                await self._live()
            except (OSError, TimeoutError, WebSocketException, Unexpected) as error:
                self._close(f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._rng.uniform(0, 0.1))

    def positions(self) -> list[tuple[str, int] | None]:
        return [_position(watch) for watch in self.watches]

    async def _live(self) -> None:
        name, token, due_at = await self._credential()
        async with asyncio.timeout(SILENCE_SECONDS) as deadline, subscription_socket(self._url) as socket:
            await _send(socket, type="connection_init", payload={"authorization": f"Bearer {token}"})
            if (answer := json.loads(await socket.recv()))["type"] != "connection_ack":
                raise Unexpected(f"answered {answer}")
            for number, watch in enumerate(self.watches):
                await self._subscribe(socket, str(number), watch, name)
            while True:
                message = json.loads(await socket.recv())
                if message["type"] == "ping":
                    await _send(socket, type="pong")
                elif message["type"] != "pong":
                    self._take(message)
                    # Each of them has to be heard of.
                    deadline.reschedule(asyncio.get_running_loop().time() + self._patience_seconds())
                if due_at is not None and time.time() >= due_at:
                    name, token, due_at = await self._credential()
                    # From now on, whether the answer comes or not.
                    for watch in self.watches:
                        watch.connections[-1].credentials.append(name)
                    await _send(socket, type="ping", payload={"authorization": f"Bearer {token}"})

    def _patience_seconds(self) -> float:
        now = time.monotonic()
        return max(0.0, SILENCE_SECONDS - max(now - heard for heard in self._heard.values()))

    async def _subscribe(self, socket: ClientConnection, id_: str, watch: WatchHistory, credential: str) -> None:
        since = None if self._forgetful and self._rng.random() < 0.5 else _position(watch)
        watch.connections.append(Connection(time.time(), since, [credential]))
        self._heard[watch.name] = time.monotonic()
        by = [{"alias": alias} for alias in watch.aliases or ()] + [{"id": id_} for id_ in watch.ids or ()]
        variables = {"by": by or None, "since": since and f"{since[0]}-{since[1]}"}
        await _send(socket, type="subscribe", id=id_, payload={"query": self._document, "variables": variables})

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] != "next" or "errors" in message["payload"]:
            raise Unexpected(f"told {message}")
        watch = self.watches[int(message["id"])]
        told = event(message["payload"]["data"]["modelConfigChanged"], time.time())
        watch.connections[-1].events.append(told)
        self._heard[watch.name] = time.monotonic()
        self._signal.poke()

    def _close(self, how: str) -> None:
        for watch in self.watches:
            if watch.connections and watch.connections[-1].closed_at is None:
                watch.connections[-1].closed_at, watch.connections[-1].closed = time.time(), how


class Unexpected(Exception):
    """The server said something other than an event: the watcher connects anew."""


def _position(watch: WatchHistory) -> tuple[str, int] | None:
    last = next((each.events[-1] for each in reversed(watch.connections) if each.events), None)
    return None if last is None else (last.store, last.revision)


def subscription_socket(url: str) -> connect:
    """A websocket to a server, or to what stands in front of it, that pings by itself no more than its user does."""
    return connect(
        url.replace("http", "ws", 1) + "/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        proxy=None,
        ping_interval=None,
        open_timeout=SILENCE_SECONDS,
        close_timeout=0.2,
        max_size=2**24,
    )


async def _send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


class Component:
    """A real provider with some models, and what each of them runs on."""

    def __init__(self, url: str, token: str, name: str, aliases: list[str], signal: Signal) -> None:
        self.histories = [ComponentHistory(f"{name} {alias}", alias) for alias in aliases]
        self._signal = signal
        self._recording = True
        self._provider = DynamicModelProvider(url, token=token, component=name, _timing=TIMING)
        for history in self.histories:
            self._record(self._provider.get_lite_llm_model(history.alias), history)

    async def start(self) -> None:
        await self._provider.__aenter__()

    async def stop(self) -> None:
        # That it forgets all now is no part of the history.
        self._recording = False
        await self._provider.close()

    def _record(self, model: LiteLlm, history: ComponentHistory) -> None:
        def changed(_: ModelSettings | None, new: ModelSettings | None) -> None:
            if self._recording:
                history.applied.append(_applied(new))
                self._signal.poke()

        model.on_settings_change(changed)


def _applied(settings: ModelSettings | None) -> Applied:
    if settings is None or settings.revision is None or settings.id is None or settings.version is None:
        return Applied(time.time(), None, None)
    params = settings.litellm_params
    value = value_of(params["model"], params.get("seed"), settings.max_input_tokens)
    store, revision = position(settings.revision)
    return Applied(time.time(), store, Held(settings.id, settings.alias, settings.version, revision, value))
