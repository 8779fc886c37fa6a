"""A real component: the subscriber, which says at which moment it began to use which version.

Arguments: the server's address, the API key, the alias.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from modelwire.subscriber import DynamicModelProvider, ModelSettings


async def main() -> None:
    url, token, alias = sys.argv[1:4]

    def note(_old: ModelSettings | None, new: ModelSettings | None) -> None:
        now = time.monotonic_ns()
        if new is not None:
            print(json.dumps(now), flush=True)

    async with DynamicModelProvider(url, token=token, component="benchmark-agent") as provider:
        provider.get_lite_llm_model(alias).on_settings_change(note)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
