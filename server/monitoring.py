"""The three paths that are there for those who watch over a server: /healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..store import Feed, Store, StoreError
from .graphql import GraphQLEndpoint
from .metrics import Levels, Metrics
from .presence import Presence
from .setting_values import is_loopback
from .settings import Settings

READY_TIMEOUT_SECONDS = 2.0

NOTE_SECONDS = 5.0
"""How often a process notes its gauges by itself: another worker may be the one that is asked."""


@dataclass(frozen=True, slots=True)
class Monitored:
    """What is watched over."""

    settings: Settings
    store: Store
    feed: Feed
    endpoint: GraphQLEndpoint
    presence: Presence
    metrics: Metrics

    def levels(self) -> Levels:
        """What there is at the moment."""
        pool = self.store.pool
        shared, together = self.endpoint.shared_subscriptions
        return Levels(
            connections=self.endpoint.open_connections,
            subscribers=self.feed.watching - together + shared,
            component_subscribers=self.store.fleet.watching,
            components=self.presence.connected,
            pending_changes=self.feed.pending,
            feed_failing=self.feed.error is not None,
            feed_lag_seconds=self.store.age_seconds,
            revision=self.feed.revision,
            database_connections_in_use=pool.in_use,
            database_connections_max=pool.size,
        )

    @contextlib.asynccontextmanager
    async def noted(self) -> AsyncIterator[None]:
        """Note the gauges in the background."""
        task = asyncio.create_task(self._note(), name="metrics")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _note(self) -> None:
        while True:
            self.metrics.note(self.levels())
            await asyncio.sleep(NOTE_SECONDS)


def monitoring_routes() -> list[Route]:
    """The paths; the app's state has `services.monitored`."""
    return [
        Route("/healthz", _healthz, methods=["GET"]),
        Route("/readyz", _readyz, methods=["GET"]),
        Route("/metrics", _metrics, methods=["GET"]),
    ]


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _readyz(request: Request) -> Response:
    monitored: Monitored = request.app.state.services.monitored
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            await monitored.store.revision()
    except TimeoutError:
        return _not_ready("the database does not answer")
    except StoreError as error:
        return _not_ready(f"the database cannot be read: {error}")
    if monitored.feed.error is not None:
        return _not_ready(f"the change log cannot be followed: {monitored.feed.error}")
    return JSONResponse({"status": "ready"})


def _not_ready(reason: str) -> Response:
    return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)


async def _metrics(request: Request) -> Response:
    monitored: Monitored = request.app.state.services.monitored
    token = monitored.settings.metrics_token
    if token is None and not is_loopback(monitored.settings.host):
        reason = "the server listens on more than loopback: set MODELWIRE_METRICS_TOKEN, and send it as a bearer token"
        return JSONResponse({"error": reason}, status_code=403)
    if token is not None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode()):
            reason = "send the header `Authorization: Bearer` with MODELWIRE_METRICS_TOKEN"
            return JSONResponse({"error": reason}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
    return Response(monitored.metrics.page(monitored.levels), headers={"content-type": CONTENT_TYPE_LATEST})
