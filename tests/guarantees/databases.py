"""The database of a run, and what can happen to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
import psycopg
from postgres import Databases, PostgresServer, binaries

from modelwire.store import Keyring, back_up, renew_identity, restore


class Database(Protocol):
    """`url` is what servers are given. `back_up` notes the state, `restore` puts it back while no server runs."""

    url: str

    async def back_up(self) -> None: ...

    async def restore(self) -> None: ...

    async def heal(self) -> None:
        """See to it that it works."""
        ...


class Sqlite:
    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self.url = f"sqlite:///{folder}/guarantees.db"
        self._file = folder / "guarantees.db"
        self._backup = folder / "backup.db"
        self._keyring = keyring

    async def back_up(self) -> None:
        await asyncio.to_thread(back_up, self.url, self._backup, replace=True)

    async def restore(self) -> None:
        await restore(self.url, self._backup, self._keyring)

    async def heal(self) -> None:
        pass

    async def lock(self, seconds: float) -> None:
        """As a foreign program would that writes for long."""
        await asyncio.to_thread(self._lock, seconds)

    def _lock(self, seconds: float) -> None:
        with contextlib.closing(sqlite3.connect(self._file, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")


class Postgres:
    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.server = server
        self.url = Databases(server.url).create()
        self._backup = folder / "backup.pgdump"

    async def back_up(self) -> None:
        await asyncio.to_thread(self._run, "pg_dump", "--format=custom", f"--file={self._backup}", self.url)

    async def restore(self) -> None:
        arguments = ("--clean", "--if-exists", "--single-transaction", f"--dbname={self.url}", str(self._backup))
        await asyncio.to_thread(self._run, "pg_restore", *arguments)
        await asyncio.to_thread(renew_identity, self.url)

    async def heal(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def restart(self, end: Callable[[], None], seconds: float) -> None:
        await asyncio.to_thread(end)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.server.start)

    async def freeze(self, seconds: float) -> None:
        """Nothing of it runs for a while."""
        processes = self.server.processes()
        for process in processes:
            _signal(process, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        for process in processes:
            _signal(process, signal.SIGCONT)

    async def end_sessions(self, *, listeners: bool) -> None:
        """End the connections of all servers, or those alone by which they hear of each other's commits."""
        await asyncio.to_thread(self._end_sessions, "LISTEN%" if listeners else "%")

    def _end_sessions(self, query: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE %s",
                (query,),
            )

    def _run(self, program: str, *arguments: str) -> None:
        environment = {**os.environ, "PGCONNECT_TIMEOUT": "60"}
        done = subprocess.run(
            [binaries() / program, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
