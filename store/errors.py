"""What can go wrong in the store. Foreign errors (SQLAlchemy, drivers, cryptography) are translated in `database.py`
and `secrets.py` and nowhere else.

StoreError
├── StoreUnavailable      the database cannot be reached or written to now; trying again later may help
├── StoreCorrupt          what the database holds cannot be true: a damaged file, a tampered row
├── Compacted             the change log no longer has all that was asked for
├── SchemaMismatch        the database's schema is not the one that this version of Modelwire works with
├── AliasInUse            another config has the alias already
└── KeyringError          encryption keys are malformed or missing
    └── UnknownKey        a row is sealed under a key that the keyring does not hold
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors that the store raises. The text says what to do and never holds a secret."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or written to at the moment."""


class StoreCorrupt(StoreError):
    """The database, or a row of it, does not hold together."""


class Compacted(StoreError):
    """The change log was compacted beyond the position that was asked for: what is missing cannot be told from it."""


class SchemaMismatch(StoreError):
    """The database was made by another version of Modelwire, or was not migrated."""


class AliasInUse(StoreError):
    """A config with this alias exists already."""

    def __init__(self, alias: str) -> None:
        super().__init__(f"a model config with the alias {alias!r} exists already")
        self.alias = alias


class KeyringError(StoreError):
    """The encryption keys cannot be used as they were given."""


class UnknownKey(KeyringError):
    """A row names a key-encryption key that the keyring does not hold."""

    def __init__(self, name: str, *, source: str = "MODELWIRE_ENCRYPTION_KEYS") -> None:
        super().__init__(
            f"the encryption key {name!r} is needed to open a stored secret and was not given: "
            f"add it to {source} (the first key seals, all of them open)"
        )
        self.name = name
