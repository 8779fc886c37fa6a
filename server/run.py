"""One server process: the socket, the signals, what is printed and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from starlette.applications import Starlette

from ..resolvers.litellm_process import stop_asking
from .app import Start, create_app, prepare
from .database import StartError, database_name
from .graphql import HttpProtocol, WebSocketProtocol
from .local_access import LocalToken
from .logs import configure_logging
from .metrics import MULTIPROCESS_FOLDER
from .setting_values import is_loopback
from .settings import Settings
from .workers import supervise

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 2
"""How long open operations, and then open connections, may take to end when the server stops."""

TICK_SECONDS = 1.0
"""How often the date in the headers of answers is set."""

PING_SECONDS = 50.0
"""How often a peer is asked whether it is there. Proxies close what is silent for a minute."""

PONG_SECONDS = 45.0
"""How long a peer may take to answer a ping: as long as components wait for a word of the server. One whose event loop
is busy on a loaded machine is not gone, and connecting again would cost it more.
"""

_ROOM_BYTES = 512 * 1024
"""How much a worker may need in the folder for what workers count; that is 320 KiB at the start."""


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError when it cannot start; changes nothing when the port is taken."""
    listener = _listen(settings)
    if settings.port == 0:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    local = LocalToken(settings)

    def started(start: Start) -> None:
        local.leave()
        announce(start)

    try:
        with listener:
            if settings.workers == 1:
                asyncio.run(_serve(settings, listener, started, local.hash))
            else:
                with _counts_folder() as folder:
                    started(asyncio.run(prepare(settings)))
                    # What they count is kept in files, so that each of them can answer for all.
                    os.environ[MULTIPROCESS_FOLDER] = folder
                    work = partial(_work, settings, listener, local.hash)
                    supervise(settings.workers, work, partial(mark_process_dead, path=folder))
    finally:
        local.remove()


def _work(settings: Settings, listener: socket.socket, local_token_hash: str) -> None:
    """A worker process, from its start to its end."""
    configure_logging(settings.log_level, settings.log_format)
    try:
        _check_room(os.environ[MULTIPROCESS_FOLDER])
        asyncio.run(_serve(settings, listener, None, local_token_hash))
    except StartError as error:
        logger.error("a worker cannot start: %s", error)  # noqa: TRY400 - the sentence says it all
        sys.exit(1)


@contextlib.contextmanager
def _counts_folder() -> Iterator[str]:
    """The folder for what workers count, as long as the block lasts. Raises StartError without room for it."""
    try:
        made = tempfile.TemporaryDirectory(prefix="modelwire-metrics-")
    except OSError as error:
        raise StartError(f"workers need a temporary folder, and none can be made: {error.strerror}") from error
    with made as folder:
        _check_room(folder)
        yield folder


def _check_room(folder: str) -> None:
    """See to it that one more worker finds room for what it counts: the kernel kills who writes to a mapped file for
    which the disk has none. Raises StartError.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StartError(
            f"{folder} has no room for what a worker counts ({error.strerror}): make some, or set TMPDIR to another "
            "folder"
        ) from error


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if settings.no_auth and not is_loopback(str(address[0])):
            raise StartError(f"--no-auth needs a loopback address to listen on, and {host} is {address[0]} here")
        listener = socket.create_server((str(address[0]), port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(_why_not(error, host, port)) from error
    # asyncio sets it on sockets that it made itself alone. Without it each answer on a connection that is kept waits
    # for the peer's delayed acknowledgement of the one before, 40 ms. Accepted sockets inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        what = "is in use: stop what listens there, or choose another port with --port or MODELWIRE_PORT"
    elif error.errno == errno.EACCES:
        what = "may not be used by this user: choose a port above 1023 with --port or MODELWIRE_PORT"
    elif isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: choose another with --host or MODELWIRE_HOST"
    else:
        what = f"cannot be listened on: {os.strerror(error.errno or 0)}"
    return f"port {port} of {host} {what}"


async def _serve(
    settings: Settings, listener: socket.socket, announce: Callable[[Start], None] | None, local_token_hash: str
) -> None:
    app = create_app(settings, announce, local_token_hash)
    server = _Server(app, settings)

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn takes the signals while it serves and raises them again at its end: without handlers of our own that
    # second signal would kill the process before the store is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        async with app.router.lifespan_context(app):
            _collect_seldom()
            logger.info("serving on port %s", settings.port)
            await server.serve(sockets=[listener])
    finally:
        # Python would wait at its end for an answer that may not come.
        stop_asking()
    logger.info("stopped")


def _collect_seldom() -> None:
    """Have the collector leave out what is here to stay, and look less often at what comes: by default a storm of
    connections spends a third of its time in it, and all wait while it goes through those of thousands. Cycles are
    few: they are made by errors, and go with the next look.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


class _Server(uvicorn.Server):
    """Closes the GraphQL operations before uvicorn cuts their connections, and is woken to stop: uvicorn's own looks
    ten times a second whether it should, which is most of what a server costs that has nothing to do.
    """

    def __init__(self, app: Starlette, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # The lifespan is entered outside, so that an error in it is one sentence and not a traceback.
                lifespan="off",
                http=HttpProtocol,
                ws=WebSocketProtocol,
                ws_per_message_deflate=False,
                ws_max_size=settings.max_message_bytes,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PONG_SECONDS,
                timeout_graceful_shutdown=CLOSE_SECONDS,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=sorted(settings.trusted_proxies),
                server_header=False,
                access_log=False,
                log_config=None,
            )
        )
        self._app = app
        self._exiting = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._exiting.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._exiting.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("stopping")
        await self._app.state.services.endpoint.close(timeout_seconds=CLOSE_SECONDS)
        await super().shutdown(sockets)


def announce(start: Start) -> None:
    """Tell the person at the terminal where the server is, and once its administrator key."""
    settings = start.settings
    address = _address(settings)
    lines = [
        f"Console:           {address}",
        f"GraphQL:           {address}/graphql",
        f"GraphiQL:          {address}/graphiql",
        f"Database:          {database_name(settings)}",
    ]
    if settings.no_auth:
        lines.append("NO AUTHENTICATION: every user and program of this machine may do everything here (--no-auth)")
    if settings.encryption_keys is not None:
        lines.append("Encryption keys:   MODELWIRE_ENCRYPTION_KEYS")
    elif start.key_file_made:
        lines.append(
            f"Encryption keys:   {settings.key_file} (made now; keep a copy: only it opens the stored secrets)"
        )
    else:
        lines.append(f"Encryption keys:   {settings.key_file}")
    if start.admin_key is not None:
        lines.append(f"Administrator key: {start.admin_key} (shown this once; only its hash is stored)")
        lines.append(f"Sign in:           {address}/#key={start.admin_key}")
    elif settings.admin_key is not None:
        lines.append("Administrator key: as set by MODELWIRE_ADMIN_KEY")
    print("\n".join(lines), flush=True)  # noqa: T201 -- what a person starts the server for


def _address(settings: Settings) -> str:
    if settings.public_url:
        return settings.public_url
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 -- compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
