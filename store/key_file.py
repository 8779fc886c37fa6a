"""The key file of the embedded default. It is only ever replaced as a whole, so that no crash leaves half of one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from .errors import KeyringError


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as it was read. `text` has the form of MODELWIRE_ENCRYPTION_KEYS."""

    path: Path
    text: str = field(repr=False)
    stamp: tuple[int, int, int]

    def replaced(self) -> bool:
        """Whether another file lies there now. Raises KeyringError when none does."""
        try:
            return _stamp(self.path.stat()) != self.stamp
        except OSError as error:
            raise _unreadable(self.path, error) from error


def read_key_file(path: Path) -> KeyFile:
    """Raises KeyringError when it cannot be read, or can be read by other users."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyringError(
                    f"the key file {path} is open to other users of this machine: run `chmod 600 {path}`"
                )
            return KeyFile(path, file.read().decode("ascii"), _stamp(status))
    except OSError as error:
        raise _unreadable(path, error) from error
    except UnicodeDecodeError:
        raise KeyringError(f"the key file {path} does not hold encryption keys") from None


def make_key_file(path: Path, key: str) -> bool:
    """Make the file, mode 0600, with this key. False, and nothing is done, when there is one."""
    if path.exists():
        return False
    try:
        draft = _draft(path, key)
        try:
            # A link, unlike a rename, never replaces the key that another process made meanwhile.
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        _sync_folder(path)
    except OSError as error:
        raise KeyringError(f"the key file {path} cannot be made: {error.strerror}") from error
    return True


def add_key(path: Path, key: str) -> None:
    """Put a key in front of those of the file. The caller keeps others from changing it. Raises KeyringError."""
    _replace(path, [key, *_entries(path)])


def retire_keys(path: Path, retired: Collection[str]) -> None:
    """Move these entries to the file of retired keys. The caller keeps others from changing either.

    Raises KeyringError.
    """
    beside = retired_keys_file(path)
    before = _entries(beside) if beside.exists() else []
    # First there, then gone here: a crash between the two leaves them in both.
    _replace(beside, [*before, *(entry for entry in retired if entry not in before)])
    _replace(path, [entry for entry in _entries(path) if entry not in retired])


def retired_keys_file(path: Path) -> Path:
    """Where the keys lie that were once in the key file."""
    return path.with_name(f"{path.name}.retired")


def key_entries(text: str) -> list[str]:
    """The entries of a text in the form of MODELWIRE_ENCRYPTION_KEYS."""
    return [entry.strip() for entry in text.split(",")] if text.strip() else []


def _entries(path: Path) -> list[str]:
    return key_entries(read_key_file(path).text)


def _replace(path: Path, entries: Collection[str]) -> None:
    try:
        draft = _draft(path, ",\n".join(entries))
        try:
            draft.replace(path)
        except OSError:
            draft.unlink()
            raise
        _sync_folder(path)
    except OSError as error:
        raise KeyringError(f"the key file {path} cannot be written: {error.strerror}") from error


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync_folder(path: Path) -> None:
    # What is sealed from now on is lost with the key, so its name must survive a power failure too.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _unreadable(path: Path, error: OSError) -> KeyringError:
    return KeyringError(f"the key file {path} cannot be read: {error.strerror}")
