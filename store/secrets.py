"""Secrets at rest: envelope encryption under named keys. The one place that knows cryptography.

Each row has a random data key, which seals the row's secrets with AES-256-GCM and is itself sealed under a
key-encryption key of the keyring. Both are bound to the config's id and version: a sealed value copied to another row
does not open.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import KeyringError, StoreCorrupt, UnknownKey
from .key_file import (
    KeyFile,
    add_key,
    key_entries,
    make_key_file,
    read_key_file,
    retire_keys,
    retired_keys_file,
)
from .records import Secrets

_KEY_BYTES = 32
_NONCE_BYTES = 12
_SEALED_KEY_BYTES = _NONCE_BYTES + _KEY_BYTES + 16
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?")


@dataclass(frozen=True, slots=True)
class Envelope:
    """Sealed secrets and the name of the key that they are sealed under, None without secrets."""

    key_name: str
    sealed: bytes = field(repr=False)

    def __bytes__(self) -> bytes:
        return self.key_name.encode() + b":" + self.sealed

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what `bytes(envelope)` gave."""
        name, _, sealed = data.partition(b":")
        return cls(name.decode(), sealed)


class Keyring:
    """Named key-encryption keys. The first seals, all of them open. The keys never appear in its repr."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        if not keys:
            raise KeyringError("no encryption key is given: MODELWIRE_ENCRYPTION_KEYS needs at least one")
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._raw = dict(keys)
        self._file: KeyFile | None = None

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys, the sealing one first."""
        return tuple(self._keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read keys in the form of MODELWIRE_ENCRYPTION_KEYS: comma-separated, each 32 bytes in URL-safe base64 with an
        optional `name:` in front.

        Raises KeyringError, which says which of them is wrong and why and never shows one.
        """
        keys: dict[str, bytes] = {}
        for position, entry in enumerate(text.split(",") if text.strip() else (), start=1):
            name, key = _parse_key(entry.strip(), position)
            if name in keys:
                raise KeyringError(f"encryption key {position} has the name {name!r}, which another one has already")
            keys[name] = key
        return cls(keys)

    @classmethod
    def from_file(cls, path: Path) -> tuple[Self, bool]:
        """Read keys from a file, which is made (mode 0600, one random key) when it is not there; True says that it was.

        The file may be replaced later: what it holds then counts from the next sealing on.
        Raises KeyringError when the file cannot be used, or can be read by other users.
        """
        made = make_key_file(path, new_key())
        return cls._read(path), made

    @classmethod
    def _read(cls, path: Path) -> Self:
        file = read_key_file(path)
        try:
            keyring = cls.parse(file.text)
        except KeyringError as error:
            raise KeyringError(f"the key file {path}: {error}") from None
        keyring._file = file
        return keyring

    def refresh(self) -> None:
        """Read the key file again if it was replaced. Keys that have left it go on opening until this process ends.

        Raises KeyringError.
        """
        if self._file is None or not self._file.replaced():
            return
        newer = self._read(self._file.path)
        self._keys = newer._keys | {name: key for name, key in self._keys.items() if name not in newer._keys}
        self._raw = self._raw | newer._raw
        self._file = newer._file

    def hold(self, envelopes: Iterable[bytes]) -> None:
        """Have the keys of these, as `bytes(envelope)` gave them, until this process ends: a rotation that takes
        them out of the file knows nothing of copies in memory.
        """
        if any(Envelope.parse(each).key_name not in self._keys for each in envelopes):
            # Who needs the file is told when it cannot be used.
            with contextlib.suppress(KeyringError):
                self.refresh()

    def add_key(self) -> str:
        """Put a new key in front of those of the key file; its name. The caller keeps others from doing so.

        Raises KeyringError when the keys do not come from a key file, or it cannot be written.
        """
        entry = new_key()
        add_key(self._path, entry)
        self.refresh()
        return key_name(entry)

    def retire_keys(self, names: Collection[str]) -> Path:
        """Move keys from the key file to a file beside it, which is returned. Conditions as for `add_key`."""
        path = self._path
        file = read_key_file(path)
        retire_keys(path, [entry for entry in key_entries(file.text) if key_name(entry) in names])
        return retired_keys_file(path)

    @property
    def has_file(self) -> bool:
        """Whether the keys come from a key file, which can be changed here, and not from the environment."""
        return self._file is not None

    @property
    def _path(self) -> Path:
        if self._file is None:
            raise KeyringError("the encryption keys come from MODELWIRE_ENCRYPTION_KEYS and can only be changed there")
        return self._file.path

    @property
    def source(self) -> str:
        """Where its keys come from, for messages."""
        return "MODELWIRE_ENCRYPTION_KEYS" if self._file is None else f"the key file {self._file.path}"

    def derive(self, purpose: str, name: str | None = None) -> tuple[str, bytes]:
        """A key of 32 bytes that serves this purpose alone, made of the key with this name; None: of the sealing one.
        In front of it, the name. All who have the same keyring get the same.

        Raises UnknownKey, and KeyringError when the key file cannot be used.
        """
        if name is None or name not in self._raw:
            self.refresh()
        name = self.names[0] if name is None else name
        if name not in self._raw:
            raise UnknownKey(name, source=self.source)
        return name, HKDF(SHA256(), _KEY_BYTES, None, f"modelwire {purpose}".encode()).derive(self._raw[name])

    def seal(self, opened: Secrets, *, config_id: str, version: int) -> Envelope | None:
        """Seal the secrets of one config at one version; None when there are none."""
        if not opened:
            return None
        # Sealing under a key that has left the file would lose the secrets with this process.
        self.refresh()
        name, key_encryption_key = next(iter(self._keys.items()))
        text = json.dumps({"auth": dict(opened.auth), "params": dict(opened.params)}, allow_nan=False).encode()
        bound_to = _bound_to(config_id, version)
        data_key = AESGCM.generate_key(_KEY_BYTES * 8)
        return Envelope(
            name, _encrypt(key_encryption_key, data_key, bound_to) + _encrypt(AESGCM(data_key), text, bound_to)
        )

    def open(self, envelope: Envelope, *, config_id: str, version: int) -> Secrets:
        """Open what `seal` made.

        Raises UnknownKey when the keyring lacks the key, StoreCorrupt when the envelope was changed or is of another
        config or version.
        """
        bound_to = _bound_to(config_id, version)
        try:
            data_key = self._open_data_key(envelope, bound_to)
            content = json.loads(_decrypt(data_key, envelope.sealed[_SEALED_KEY_BYTES:], bound_to))
        except (InvalidTag, ValueError):
            raise StoreCorrupt(
                f"the sealed secrets of config {config_id} at version {version} do not open with the key "
                f"{envelope.key_name!r}: the row was changed from outside, or that name now stands for another key"
            ) from None
        return Secrets(auth=content["auth"], params=content["params"])

    def fits(self, envelope: Envelope, *, config_id: str, version: int) -> bool:
        """Whether the envelope was sealed under the key that has its name here. What is in it may be damaged even so.

        Raises UnknownKey when the keyring lacks the key.
        """
        try:
            self._open_data_key(envelope, _bound_to(config_id, version))
        except (InvalidTag, ValueError):
            return False
        return True

    def _open_data_key(self, envelope: Envelope, bound_to: bytes) -> AESGCM:
        if envelope.key_name not in self._keys:
            # A rotation may have put it into the key file since.
            self.refresh()
        key_encryption_key = self._keys.get(envelope.key_name)
        if key_encryption_key is None:
            raise UnknownKey(envelope.key_name, source=self.source)
        return AESGCM(_decrypt(key_encryption_key, envelope.sealed[:_SEALED_KEY_BYTES], bound_to))


def new_key() -> str:
    """A random key, as MODELWIRE_ENCRYPTION_KEYS takes it."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def key_name(entry: str) -> str:
    """The name of one entry of MODELWIRE_ENCRYPTION_KEYS. Raises KeyringError."""
    return _parse_key(entry, 1)[0]


def _parse_key(entry: str, position: int) -> tuple[str, bytes]:
    name, colon, encoded = entry.rpartition(":")
    # fullmatch and a fixed message: the text of binascii's errors, or the entry itself, would show the key.
    if colon and not _NAME.fullmatch(name):
        raise KeyringError(f"encryption key {position} has a bad name: 1 to 64 letters, digits, '.', '_' or '-'")
    if not _KEY.fullmatch(encoded):
        raise KeyringError(f"encryption key {position} is not 32 bytes in URL-safe base64 (43 characters)")
    key = base64.urlsafe_b64decode(encoded[:43] + "=")
    return name if colon else hashlib.sha256(key).hexdigest()[:8], key


def _bound_to(config_id: str, version: int) -> bytes:
    return f"modelwire secrets 1\0{config_id}\0{version}".encode()


def _encrypt(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, bound_to)


def _decrypt(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to)
