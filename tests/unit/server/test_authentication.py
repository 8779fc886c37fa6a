from __future__ import annotations

from pathlib import Path

import pytest

from modelwire.resolvers.api_keys import ensure_admin_key
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server.app import database_url, prepare_database
from modelwire.server.authentication import authenticate
from modelwire.server.settings import Settings
from modelwire.store import open_store


async def test_a_bearer_key_names_its_principal(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    keyring, _ = prepare_database(settings)
    store = await open_store(database_url(settings), keyring)
    try:
        key = await ensure_admin_key(store, None)
        for header in (f"Bearer {key}", f"bearer {key}", f"BEARER  {key} "):
            assert (await authenticate(store, header)).name == "administrator"
        for header, said in (
            (None, "an API key is needed"),
            ("", "an API key is needed"),
            (key, "has another form than"),
            (f"Basic {key}", "has another form than"),
            ("Bearer", "has another form than"),
            ("Bearer  ", "has another form than"),
            (f"Bearer {key}0", "not an API key of Modelwire"),
            (f"Bearer {key},Bearer {key}", "not an API key of Modelwire"),
        ):
            with pytest.raises(Unauthenticated, match=said) as caught:
                await authenticate(store, header)
            assert str(key) not in str(caught.value)
    finally:
        await store.close()
