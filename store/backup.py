"""Backing up and restoring the embedded database while servers use it, and what a restore does on any database."""

from __future__ import annotations

from sqlalchemy import update

from .database import synchronous_transaction
from .migrate import new_store_id, read_store_id
from .tables import store_meta


def renew_identity(url: str) -> str:
    """Give the database another identity, which is returned: every subscriber gets its state anew, as a marked reset.

    To be done when an older state of the database was put in its place. Blocks; call it in a thread.
    Raises SchemaMismatch, StoreUnavailable, StoreCorrupt.
    """
    read_store_id(url)
    store_id = new_store_id()
    with synchronous_transaction(url, write=True) as connection:
        connection.execute(update(store_meta).values(store_id=store_id))
    return store_id
