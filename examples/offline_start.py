"""A component that starts although Modelwire is away, with the last configuration that it had.

    export MODELWIRE_URL=http://127.0.0.1:8400 MODELWIRE_TOKEN=mw_… MODELWIRE_CACHE=orders.cache
    python offline_start.py general

Run it once while the server is there, stop the server, and run it again: it answers from the cache, and says how old
that is. With `--follow` it goes on, and tells of each version that comes when the server is back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from datetime import UTC, datetime

from modelwire.subscriber import DynamicModelProvider, LiteLlm


def origin(model: LiteLlm) -> str:
    """Say where the configuration in use comes from."""
    if model.cached_at is None:
        return "from the server"
    seconds = (datetime.now(UTC) - model.cached_at).total_seconds()
    return f"from the cache, {seconds:.0f} s old"


async def run(alias: str, *, follow: bool) -> None:
    """Ask once, and with `follow` again for each version."""
    # The path of the cache is that of MODELWIRE_CACHE.
    async with DynamicModelProvider(component="offline-start") as provider:
        model = provider.get_lite_llm_model(alias)
        changed = asyncio.Event()
        model.on_settings_change(lambda *_: changed.set())
        await model.wait_ready()
        while True:
            changed.clear()
            version, where = model.version, origin(model)
            reply = await model.acompletion(messages=[{"role": "user", "content": "Which model are you?"}])
            print(f"version {version} {where}: {reply.choices[0].message.content}", flush=True)
            if not follow:
                return
            await changed.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a model of Modelwire, from the cache while the server is away.")
    parser.add_argument("alias", help="the model's alias, for example general")
    parser.add_argument("--follow", action="store_true", help="go on, and ask again at each version")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments.alias, follow=arguments.follow))


if __name__ == "__main__":
    main()
