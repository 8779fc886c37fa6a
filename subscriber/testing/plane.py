"""The fake control plane: a websocket server on loopback in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from ..protocol import SUBPROTOCOL, Json
from .connection import Connection
from .records import Records

if TYPE_CHECKING:
    from types import TracebackType

    from websockets.http11 import Request

_HOST = "127.0.0.1"


def fake_control_plane(
    configs: Mapping[str, Mapping[str, Json] | None] | None = None, *, token: str | None = None
) -> FakeControlPlane:
    """Make a control plane with these configs: LiteLLM's keyword arguments by alias, `model` among them.

    None instead of the arguments makes a placeholder. With `token` all other tokens are refused; without, any is taken.
    Raises ValueError for a config that is none. It answers inside `with`, which gives its URL:

        plane = fake_control_plane({"general": {"model": "openai/gpt-5", "api_key": "k"}})
        with plane as url: ...
    """
    return FakeControlPlane(configs or {}, token=token)


class FakeControlPlane:
    """What subscribers connect to in tests. Made by `fake_control_plane`; all of it can be used from any thread.

    The end of `with` is like the kill of a server: connections break. A second `with` goes on at the same URL with
    what was put meanwhile.
    """

    def __init__(self, configs: Mapping[str, Mapping[str, Json] | None], *, token: str | None) -> None:
        self._records = Records()
        for alias, config in configs.items():
            self._records.put(alias, config)
        self._token = token
        self._connections: set[Connection] = set()
        self._open_gate = asyncio.Event()
        self._port = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it answers. Raises RuntimeError before the first `with`."""
        if not self._port:
            raise RuntimeError("the fake control plane has no address before `with plane as url`")
        return f"http://{_HOST}:{self._port}"

    def __enter__(self) -> str:
        if self._thread is not None:
            raise RuntimeError("the fake control plane is running already: make one per `with`")
        started: Future[None] = Future()
        thread = threading.Thread(target=self._main, args=(started,), name="fake-control-plane", daemon=True)
        thread.start()
        try:
            started.result()
        except BaseException:
            thread.join()
            raise
        self._thread = thread
        return self.url

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._do(self._stop.set)
        self._thread.join()
        self._thread = self._loop = None

    def put(self, alias: str, config: Mapping[str, Json] | None) -> int:
        """Give an alias its next version, which all subscribers hear of, or its first. Gives the version.

        `config` is as in `fake_control_plane`. Raises ValueError, and changes nothing.
        """
        version = self._records.put(alias, config)
        self._wake()
        return version

    def remove(self, alias: str) -> None:
        """Delete an alias' config: its models become `none`. Raises LookupError when it has none."""
        self._records.remove(alias)
        self._wake()

    def cut(self) -> None:
        """Break all connections. Subscribers come back by themselves, with the position that they were at."""
        self._do(self._cut)

    def freeze(self) -> None:
        """Fall silent until `thaw`: connections stay open, and nothing is read, answered or told."""
        self._do(self._open_gate.clear)

    def thaw(self) -> None:
        """Go on after `freeze`, with all that was put meanwhile."""
        self._do(self._open_gate.set)

    def __repr__(self) -> str:
        return f"<FakeControlPlane {self.url if self._port else 'that never ran'}>"

    def _wake(self) -> None:
        if self._thread is not None:
            self._do(self._wake_all)

    def _wake_all(self) -> None:
        for connection in self._connections:
            connection.wake()

    def _cut(self) -> None:
        for connection in self._connections:
            connection.cut()

    def _do(self, action: Callable[[], object]) -> None:
        """Have `action` done in the thread of the server, and wait until it is."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("the fake control plane is not running: this is for inside `with plane as url`")
        done: Future[None] = Future()

        def run() -> None:
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits for it
                done.set_exception(error)
            else:
                done.set_result(None)

        loop.call_soon_threadsafe(run)
        done.result()

    def _main(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._run(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _run(self, started: Future[None]) -> None:
        self._open_gate, self._stop = asyncio.Event(), asyncio.Event()
        self._open_gate.set()
        async with serve(
            self._serve,
            _HOST,
            self._port,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._before_handshake,
            compression=None,
            ping_interval=None,
        ) as server:
            self._port = server.sockets[0].getsockname()[1]
            self._loop = asyncio.get_running_loop()
            started.set_result(None)
            await self._stop.wait()
            self._cut()
            # Those that wait at the gate see that they are cut.
            self._open_gate.set()

    async def _before_handshake(self, _connection: ServerConnection, _request: Request) -> None:
        await self._open_gate.wait()

    async def _serve(self, socket: ServerConnection) -> None:
        connection = Connection(socket, self._records, token=self._token, open_gate=self._open_gate)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
