"""The last known good configurations in a sealed file, for a start while the server is away.

The file holds what the server sent: references to environment variables in it are not followed yet. What comes from it
is used only while the server said nothing at all about an alias, and the first thing that the server then says is a
whole snapshot: positions are not kept, so that nothing depends on what the file and the server had in common.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from . import events
from .errors import ConfigurationError, ProtocolError, ProviderClosed

if TYPE_CHECKING:
    from .protocol import Json
    from .token import Token

logger = logging.getLogger(__name__)

# The file: this, one byte for the format, a salt, a nonce, and AES-256-GCM of JSON. Its key is HKDF-SHA256 of the
# secret and the salt; the first two parts and the server's address are authenticated with it.
_MAGIC = b"modelwire-cache\n"
_FORMAT = 1
_SALT_BYTES = 16
_NONCE_BYTES = 12
_MAX_FILE_BYTES = 64 * 2**20
# HKDF adds nothing to a secret that can be guessed.
_LEAST_SECRET_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """The last configuration of an alias that could be used, and when the server was last heard about it (UTC)."""

    config: events.Config
    heard_at: datetime


class CacheUnreadable(Exception):
    """There is a file, and it cannot be used. The text says why, in words that go behind a colon."""


class Replica(Interface):
    """What the cache asks of one alias."""

    @property
    def alias(self) -> str: ...

    def restore(self, config: events.Config, heard_at: datetime) -> bool:
        """Use it, unless the server said something already. Gives whether it is in use. Raises ProviderClosed."""
        ...


def make_cache(
    path: str | os.PathLike[str] | None, cache_key: str | None, *, token: Token, address: str
) -> Cache | None:
    """Make it from the provider's arguments, or else from MODELWIRE_CACHE and MODELWIRE_CACHE_KEY. None without a path.

    Raises ConfigurationError, whose text never holds the key.
    """
    if path is None:
        path = os.environ.get("MODELWIRE_CACHE", "").strip() or None
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigurationError("cache is the path of a file")
    key = cache_key if cache_key is not None else os.environ.get("MODELWIRE_CACHE_KEY", "").strip() or None
    if key is None and not isinstance(token, str):
        raise ConfigurationError(
            "no cache_key: a token that changes cannot seal the cache. Give the same text at every start as "
            "cache_key=… or set MODELWIRE_CACHE_KEY"
        )
    name, secret = ("token", token) if key is None else ("cache_key", key)
    if not isinstance(secret, str) or len(secret) < _LEAST_SECRET_CHARACTERS:
        hint = ": give a cache_key" if name == "token" else ", made at random: `openssl rand -base64 32` gives one"
        raise ConfigurationError(
            f"{name} cannot seal the cache: it needs a text of at least {_LEAST_SECRET_CHARACTERS} characters{hint}"
        )
    return Cache(CacheFile(Path(path), secret=secret, address=address))


class CacheFile:
    """Reads and writes whole files. Several processes can share one: the last to write wins."""

    def __init__(self, path: Path, *, secret: str, address: str) -> None:
        self.path = path
        self._secret = secret.encode()
        self._associated = _MAGIC + bytes([_FORMAT]) + address.encode()

    def read(self) -> dict[str, Entry]:
        """Give the entries by alias; none when there is no file. Raises CacheUnreadable."""
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_FILE_BYTES)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CacheUnreadable(error.strerror or type(error).__name__) from error
        try:
            return _entries(json.loads(self._unseal(data)))
        except (ValueError, RecursionError, ProtocolError):
            raise CacheUnreadable("it does not hold what this version writes") from None

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Replace the file by one with these entries, all or nothing. Raises OSError."""
        from tempfile import mkstemp

        data = self._seal(json.dumps(_document(entries), separators=(",", ":")).encode())
        # Of nobody else's reading and writing from its first moment, which is what mkstemp is for.
        descriptor, name = mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - there is no Path of a descriptor
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _seal(self, text: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._key(salt)).encrypt(nonce, text, self._associated)
        return _MAGIC + bytes([_FORMAT]) + salt + nonce + sealed

    def _unseal(self, data: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        magic, rest = data[: len(_MAGIC)], data[len(_MAGIC) :]
        if magic != _MAGIC or not rest:
            raise CacheUnreadable("it is not a cache of Modelwire, or was cut off")
        if rest[0] != _FORMAT:
            raise CacheUnreadable(f"it has the format {rest[0]} of another version, which reads and writes {_FORMAT}")
        salt, rest = rest[1 : 1 + _SALT_BYTES], rest[1 + _SALT_BYTES :]
        nonce, sealed = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        try:
            return AESGCM(self._key(salt)).decrypt(nonce, sealed, self._associated)
        except (InvalidTag, ValueError):
            raise CacheUnreadable(
                "it is damaged, or was written with another key or token, or for another server's address"
            ) from None

    def _key(self, salt: bytes) -> bytes:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), 32, salt, b"modelwire subscriber cache").derive(self._secret)


def _document(entries: Mapping[str, Entry]) -> Json:
    return [
        {
            "heardAt": entry.heard_at.isoformat(),
            "config": {
                "id": entry.config.id,
                "alias": entry.config.alias,
                "version": entry.config.version,
                "revision": entry.config.revision,
                "configured": True,
                "maxInputTokens": entry.config.max_input_tokens,
                "litellmParams": entry.config.litellm_params,
            },
        }
        for entry in entries.values()
    ]


def _entries(document: Json) -> dict[str, Entry]:
    """Read it. Raises ValueError and ProtocolError for what `_document` does not give."""
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise ValueError("no list of objects")
    entries = {}
    for item in document:
        heard_at = datetime.fromisoformat(str(item.get("heardAt")))
        if heard_at.tzinfo is None:
            raise ValueError("a time without its zone")
        config = events.config(item.get("config"))
        entries[config.alias] = Entry(config, heard_at)
    return entries


class Cache:
    """What the file said at the start, what the server said since, and writing that down.

    `put`, `remove` and `heard` are called in the event loop of `run`, which works until it is cancelled and then
    writes what is not written yet. `add` may be called from any thread.
    """

    def __init__(self, file: CacheFile) -> None:
        self._file = file
        self._read: Mapping[str, Entry] | None = None
        self._told: dict[str, Entry | None] = {}
        """By the server; None says that there is nothing to use. Other aliases keep what was read: a process may ask
        for them later than the one before."""
        self._owners: dict[str, str] = {}
        """The id of the config that has the alias, by the server."""
        self._new: deque[Replica] = deque()
        self._waiting: list[tuple[Replica, float]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._writing = threading.Lock()
        self._unwritten = self._urgent = self._warned = False

    def add(self, replica: Replica) -> None:
        """Have it restored from the file if the server says nothing about it in time."""
        self._new.append(replica)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def put(self, config: events.Config) -> None:
        """Note what is in use since now."""
        self._note(config.alias, Entry(config, datetime.now(UTC)))

    def remove(self, alias: str) -> None:
        """Note that the alias has nothing to use."""
        self._note(alias, None)

    def owned(self, alias: str, config_id: str) -> None:
        """Note which config has the alias, whether it can be used or not: what is remembered of another one is gone."""
        if self._owners.get(alias) != config_id:
            self._owners[alias] = config_id
            self._write_soon()

    def heard(self, alias: str) -> None:
        """Note that the server said of it what was known. That is written with the next change, or at the end."""
        if (entry := self._told.get(alias)) is not None:
            self._told[alias] = replace(entry, heard_at=datetime.now(UTC))
            self._unwritten = True

    def after_fork(self) -> None:
        """In the child: the parent's threads are gone, whatever they held."""
        self._writing = threading.Lock()
        self._loop, self._wake = None, asyncio.Event()

    async def run(self, on_use: Callable[[], None], start_seconds: float) -> None:
        """Read the file, restore from it what is late, and write what changes; `on_use` is called after a restore."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._load)
            while True:
                self._wake.clear()
                delay = self._restore_late(on_use, start_seconds)
                if self._urgent:
                    await asyncio.to_thread(self._save)
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
        except ProviderClosed:
            # By a callback of the component, which heard of a restored model.
            return
        finally:
            # Waits for a write under way too.
            await asyncio.to_thread(self._save)

    def _note(self, alias: str, entry: Entry | None) -> None:
        self._told[alias] = entry
        self._write_soon()

    def _write_soon(self) -> None:
        self._unwritten = self._urgent = True
        self._wake.set()

    def _restore_late(self, on_use: Callable[[], None], start_seconds: float) -> float | None:
        """Restore those that waited long enough. Gives in how many seconds the next one will have; None without one."""
        now = time.monotonic()
        while self._new:
            self._waiting.append((self._new.popleft(), now + start_seconds))
        late = [replica for replica, due in self._waiting if due <= now]
        self._waiting = [(replica, due) for replica, due in self._waiting if due > now]
        for replica in late:
            entry = (self._read or {}).get(replica.alias)
            if entry is not None and replica.restore(entry.config, entry.heard_at):
                age = max(datetime.now(UTC) - entry.heard_at, timedelta())
                logger.warning(
                    "the server did not say what %r is within %g s: version %d is used from the cache, which is %s old",
                    replica.alias,
                    start_seconds,
                    entry.config.version,
                    timedelta(seconds=int(age.total_seconds())),
                )
                on_use()
        return min((due - now for _, due in self._waiting), default=None)

    def _load(self) -> Mapping[str, Entry]:
        """Give what the file said when it was read first: what this process writes is known."""
        if self._read is None:
            try:
                self._read = self._file.read()
            except CacheUnreadable as error:
                logger.warning("the cache %s is ignored: %s", self._file.path, error)
                self._read = {}
        return self._read

    def _save(self) -> None:
        """Write what is known, unless it is written. Whoever comes last has the newest: each looks at its turn."""
        with self._writing:
            if not self._unwritten:
                return
            self._unwritten = self._urgent = False
            known = {**self._load(), **self._told}
            kept = {alias: entry for alias, entry in known.items() if entry is not None and self._is_owner(entry)}
            try:
                self._file.write(kept)
            except OSError as error:
                self._unwritten = True
                if not self._warned:
                    logger.warning("the cache %s cannot be written: %s", self._file.path, error.strerror or error)
                self._warned = True
            else:
                self._warned = False

    def _is_owner(self, entry: Entry) -> bool:
        return self._owners.get(entry.config.alias, entry.config.id) == entry.config.id
