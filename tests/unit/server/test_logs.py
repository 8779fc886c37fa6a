from __future__ import annotations

import gc
import warnings
from pathlib import Path

import httpx
from live_server import live_server

from modelwire.server.logs import ignore_abandoned_fields

# The first field fails in its first step, while the many of the second are prepared and not begun.
QUERY = """{
  auditLog(first: 0) { edges { cursor } }
  providers { supportedParams(model: "x") models { message } }
}"""


async def warned(folder: Path) -> list[str]:
    """What Python warns of while the query is answered."""
    with warnings.catch_warnings(record=True) as caught:
        async with live_server(folder) as server, httpx.AsyncClient(trust_env=False) as client:
            headers = {"authorization": f"Bearer {server.admin_key}"}
            answer = (await client.post(server.url, json={"query": QUERY}, headers=headers)).json()
        gc.collect()
    assert [error["message"] for error in answer["errors"]] == ["first must be 1 to 100"]
    return [str(warning.message) for warning in caught]


async def test_fields_that_were_not_begun_are_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert any("never awaited" in text for text in await warned(tmp_path)), (
            "graphql-core has changed: no filter needed"
        )
        ignore_abandoned_fields()
        assert await warned(tmp_path / "again") == []
