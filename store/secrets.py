"""Secrets at rest: envelope encryption under named keys. The one place that knows cryptography.

Each row has a random data key, which seals the row's secrets with AES-256-GCM and is itself sealed under a
key-encryption key of the keyring. Both are bound to the config's id and version: a sealed value copied to another row
does not open.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import KeyringError, StoreCorrupt, UnknownKey
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

        Raises KeyringError when the file cannot be used, or can be read by other users.
        """
        try:
            made = not path.exists() and _make_key_file(path)
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    raise KeyringError(
                        f"the key file {path} is open to other users of this machine: run `chmod 600 {path}`"
                    )
                text = file.read().decode("ascii")
        except OSError as error:
            raise KeyringError(f"the key file {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise KeyringError(f"the key file {path} does not hold encryption keys") from None
        try:
            return cls.parse(text), made
        except KeyringError as error:
            raise KeyringError(f"the key file {path}: {error}") from None

    def seal(self, opened: Secrets, *, config_id: str, version: int) -> Envelope | None:
        """Seal the secrets of one config at one version; None when there are none."""
        if not opened:
            return None
        key_name, key_encryption_key = next(iter(self._keys.items()))
        text = json.dumps({"auth": dict(opened.auth), "params": dict(opened.params)}, allow_nan=False).encode()
        bound_to = _bound_to(config_id, version)
        data_key = AESGCM.generate_key(_KEY_BYTES * 8)
        return Envelope(
            key_name, _encrypt(key_encryption_key, data_key, bound_to) + _encrypt(AESGCM(data_key), text, bound_to)
        )

    def open(self, envelope: Envelope, *, config_id: str, version: int) -> Secrets:
        """Open what `seal` made.

        Raises UnknownKey when the keyring lacks the key, StoreCorrupt when the envelope was changed or is of another
        config or version.
        """
        key_encryption_key = self._keys.get(envelope.key_name)
        if key_encryption_key is None:
            raise UnknownKey(envelope.key_name)
        bound_to = _bound_to(config_id, version)
        sealed_key, sealed_text = envelope.sealed[:_SEALED_KEY_BYTES], envelope.sealed[_SEALED_KEY_BYTES:]
        try:
            data_key = AESGCM(_decrypt(key_encryption_key, sealed_key, bound_to))
            content = json.loads(_decrypt(data_key, sealed_text, bound_to))
        except (InvalidTag, ValueError):
            raise StoreCorrupt(
                f"the sealed secrets of config {config_id} at version {version} do not open with the key "
                f"{envelope.key_name!r}: the row was changed from outside, or that name now stands for another key"
            ) from None
        return Secrets(auth=content["auth"], params=content["params"])


def _parse_key(entry: str, position: int) -> tuple[str, bytes]:
    name, colon, encoded = entry.rpartition(":")
    # fullmatch and a fixed message: the text of binascii's errors, or the entry itself, would show the key.
    if colon and not _NAME.fullmatch(name):
        raise KeyringError(f"encryption key {position} has a bad name: 1 to 64 letters, digits, '.', '_' or '-'")
    if not _KEY.fullmatch(encoded):
        raise KeyringError(f"encryption key {position} is not 32 bytes in URL-safe base64 (43 characters)")
    key = base64.urlsafe_b64decode(encoded[:43] + "=")
    return name if colon else hashlib.sha256(key).hexdigest()[:8], key


def _make_key_file(path: Path) -> bool:
    """Make the file with one random key, whole or not at all. False when another process was faster."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, never replaces the key that another process made meanwhile.
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        # What is sealed from now on is lost with the key, so its name must survive a power failure too.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyringError(f"the key file {path} cannot be made: {error.strerror}") from error
    return True


def _bound_to(config_id: str, version: int) -> bytes:
    return f"modelwire secrets 1\0{config_id}\0{version}".encode()


def _encrypt(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, bound_to)


def _decrypt(cipher: AESGCM, data: bytes, bound_to: bytes) -> bytes:
    return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to)
