"""A component that starts from its cache while no server is there, and then takes new versions.

The argument is the path of the cache, which is made when it is not there. Prints milliseconds as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelwire.subscriber import DynamicModelProvider
from modelwire.subscriber.address import websocket_url
from modelwire.subscriber.cache import CacheFile, Entry
from modelwire.subscriber.events import config
from modelwire.subscriber.model import LiteLlm
from modelwire.subscriber.replica import AliasReplica
from modelwire.subscriber.timing import Timing

# A port on which nobody listens.
URL = "http://127.0.0.1:9"
TOKEN = "mw_benchmark0_" + "0" * 64
ALIAS = "general"
SWAPS = 200


def event(version: int) -> Any:
    """The data of a change as the server sends it."""
    put = {
        "id": "0" * 20,
        "alias": ALIAS,
        "version": version,
        "revision": str(version),
        "configured": True,
        "maxInputTokens": None,
        "litellmParams": {
            "model": "openai/gpt-4o-mini",
            "api_base": "https://models.example/v1",
            "api_key": "sk-benchmark-0000000000",
            "temperature": 0.5,
            "max_tokens": 1000 + version,
        },
    }
    changed = {"__typename": "ModelConfigChange", "revision": str(version), "put": [put], "removed": []}
    return {"modelConfigChanged": changed}


def make_cache(path: Path) -> None:
    entry = Entry(config(event(1)["modelConfigChanged"]["put"][0]), datetime.now(UTC))
    CacheFile(path, secret=TOKEN, address=websocket_url(URL)).write({ALIAS: entry})


async def cold_start(path: Path) -> float:
    began = time.perf_counter()
    timing = Timing(start_seconds=0.0)
    async with DynamicModelProvider(URL, token=TOKEN, component="benchmark", cache=path, _timing=timing) as provider:
        model = provider.get_lite_llm_model(ALIAS)
        await model.wait_ready(timeout_seconds=60)
        millis = (time.perf_counter() - began) * 1e3
        if model.cached_at is None:
            raise RuntimeError("the model did not come from the cache")
    return millis


def swaps() -> list[float]:
    model = LiteLlm(ALIAS)
    replica = AliasReplica(model, lambda _verdict: None)
    millis = []
    for version in range(1, SWAPS + 1):
        data = event(version)
        began = time.perf_counter()
        replica.receive(data)
        millis.append((time.perf_counter() - began) * 1e3)
        if model.version != version:
            raise RuntimeError("the new version is not in use")
    return millis


def main() -> None:
    path = Path(sys.argv[1])
    if not path.exists():
        make_cache(path)
    print(json.dumps({"cold_start": asyncio.run(cold_start(path)), "swaps": swaps()}))


if __name__ == "__main__":
    main()
