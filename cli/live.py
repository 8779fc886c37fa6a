"""Subscriptions of the command line: over the link that components have, without being one of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..subscriber.address import websocket_url
from ..subscriber.errors import ConfigurationError
from ..subscriber.links import Links
from ..subscriber.timing import Timing
from ..subscriber.token import TokenSource
from .errors import CommandError, ExitCode
from .local_token import local_token
from .options import DEFAULT_URL

if TYPE_CHECKING:
    from ..subscriber.operation import Operation
    from ..subscriber.status import LinkStatus

# A server with --no-auth does not look at it.
_NO_TOKEN = "none"  # noqa: S105 - it opens nothing


def make_link(url: str | None, token: str | None) -> tuple[Links, str]:
    """A link that keeps operations subscribed and is no component of the fleet, and its address.

    Raises CommandError (USAGE).
    """
    url = url or DEFAULT_URL
    try:
        address = websocket_url(url)
    except ConfigurationError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    # What the link logs is shown by the commands themselves.
    logging.getLogger("modelwire.subscriber").addHandler(logging.NullHandler())
    logging.getLogger("modelwire.subscriber").propagate = False
    timing = Timing()
    source = TokenSource(token or local_token(url) or _NO_TOKEN, timeout_seconds=timing.open_seconds)
    return Links(address, token=source, component=None, timing=timing), address


async def follow(
    link: Links,
    operation: Operation,
    *,
    ended: asyncio.Event,
    on_status: Callable[[LinkStatus, LinkStatus], object],
    timeout_seconds: float | None = None,
) -> bool:
    """Keep the operation subscribed until `ended`, through lost connections. False when that took too long."""
    link.on_change.add(on_status)
    link.add(operation)
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(timeout_seconds):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        running.cancel()
        await asyncio.wait([running])
    return True
