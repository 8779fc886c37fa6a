"""What has to be there before the server can open its database: the folder, the keys, the schema."""

from __future__ import annotations

from ..store import Keyring, KeyringError, StoreError, database_location, migrate
from .settings import Settings


class StartError(Exception):
    """The server cannot start. The text says why and what to do, and holds no secret."""


def database_url(settings: Settings) -> str:
    """The database's address, of a file with its whole path."""
    return f"sqlite:///{settings.database_path}" if settings.embedded else settings.database_url


def database_name(settings: Settings) -> str:
    """How a person calls the database: without user and password."""
    return str(settings.database_path) if settings.embedded else database_location(settings.database_url)


def prepare_database(settings: Settings) -> tuple[Keyring, bool]:
    """Make sure that keys and database are there and of this version. The bool says that the key file was made now.

    The keys come first: a database without its key file has lost it, and a new one would not open what it holds.
    Raises StartError.
    """
    existed = True
    if settings.embedded:
        path = settings.database_path
        existed = path.exists()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(f"the data folder {path.parent} cannot be used: {error.strerror}") from error
    keyring, made = _keyring(settings, make=not existed)
    try:
        migrate(database_url(settings))
    except StoreError as error:
        raise StartError(str(error)) from error
    return keyring, made


def read_keyring(settings: Settings) -> Keyring:
    """The keys of a database that is there; makes nothing. Raises StartError."""
    return _keyring(settings, make=False)[0]


def _keyring(settings: Settings, *, make: bool) -> tuple[Keyring, bool]:
    if settings.encryption_keys is not None:
        try:
            return Keyring.parse(settings.encryption_keys.get_secret_value()), False
        except KeyringError as error:
            raise StartError(f"MODELWIRE_ENCRYPTION_KEYS: {error}") from error
    if not settings.embedded:
        # A key file here would be another one on every server, and gone with the container.
        raise StartError(
            "MODELWIRE_ENCRYPTION_KEYS is not set: with PostgreSQL the keys that seal secrets must be given, the same "
            "to every server. `modelwire keys generate` prints a new one; keep a copy, only the keys open what is "
            "stored"
        )
    if not make and not settings.key_file.exists():
        raise StartError(
            f"the key file {settings.key_file} is not there: put it back, or set MODELWIRE_ENCRYPTION_KEYS to the keys "
            f"that the database {settings.database_path} was used with"
        )
    try:
        return Keyring.from_file(settings.key_file)
    except KeyringError as error:
        raise StartError(str(error)) from error
