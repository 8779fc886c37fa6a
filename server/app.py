"""The app: the GraphQL endpoint, the web pages and what watches over them, and what they stand on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from ..resolvers.access import Context, Principal
from ..resolvers.api_keys import ensure_admin_key
from ..resolvers.errors import RequestError, ResolverError, Unauthenticated
from ..resolvers.outbound import Outbound
from ..resolvers.seeding import seed
from ..schema import SHARED_FIELDS, schema
from ..store import Feed, Store, StoreError, open_store
from . import log_context
from .authentication import authenticate
from .console import console_routes
from .cookies import BrowserCookie, browser_cookie
from .database import StartError, database_name, database_url, prepare_database, read_keyring
from .denials import Denials, source
from .graphql import GraphQLEndpoint, Sharing
from .housekeeping import housekeeping
from .key_uses import key_uses_written
from .local_access import LOCAL, is_local
from .loopback import NO_AUTH, LoopbackHosts
from .metrics import Metrics
from .monitoring import Monitored, monitoring_routes
from .oidc import OidcVerifier
from .oidc_keys import IssuerKeys
from .presence import Presence, component_link
from .revocation import Revocation
from .security_headers import SecurityHeaders
from .settings import Settings
from .tracing import go_on_with_trace

logger = logging.getLogger(__name__)

SLOW_SECONDS = 3.0
"""Who starts the server is told what it waits for when making the database ready takes longer."""

_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")

OPEN_MUTATIONS = frozenset({"signIn", "refreshSession"})
"""What may be asked for without a credential, by HTTP alone: each looks at one that comes with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a start found and made. `admin_key` is the administrator key if one was made now, to be shown this once."""

    settings: Settings
    key_file_made: bool
    admin_key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with, from the start of the app to its end."""

    store: Store
    feed: Feed
    endpoint: GraphQLEndpoint
    monitored: Monitored


def create_app(
    settings: Settings, announce: Callable[[Start], None] | None, local_token_hash: str | None = None
) -> Starlette:
    """The server as an ASGI app. Its lifespan makes the database ready, opens it and follows its change log.

    `announce` is called once at the end of the start; None says that `prepare` was called before, by the process that
    this one is a worker of. `local_token_hash` is that of the token which is left for the command line of this machine;
    None: there is none. The lifespan raises StartError.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        start = None if announce is None else await prepare(settings)
        async with _services(settings, local_token_hash) as services:
            app.state.services = services
            if announce is not None and start is not None:
                announce(start)
            yield

    graphql = _GraphQL(settings.public_path)
    return Starlette(
        routes=[
            Route("/graphql", graphql),
            WebSocketRoute("/graphql", graphql),
            *monitoring_routes(),
            *console_routes(no_auth=settings.no_auth),
        ],
        middleware=[Middleware(SecurityHeaders), *([Middleware(LoopbackHosts)] if settings.no_auth else [])],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


class _GraphQL:
    """The endpoint of the running app, whatever the method. `public_path` is what a proxy takes off in front of it."""

    def __init__(self, public_path: str) -> None:
        self._public_path = public_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        # For all that this connection does, in tasks of its own too.
        source.set(scope["client"][0] if scope.get("client") else None)
        log_context.request.set(_request_id(scope))
        go_on_with_trace(scope)
        cookie = BrowserCookie.of(scope, self._public_path)
        browser_cookie.set(cookie)
        await services.endpoint(scope, receive, send if cookie is None else cookie.sending(send))


def _request_id(scope: Scope) -> str:
    """The id that a proxy gave the request, if that is one, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    # It is no secret, and one would cost a system call.
    return given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"


async def prepare(settings: Settings) -> Start:
    """What is done once, however many processes then serve: the schema, the seed, the administrator key.

    Waits for others who do the same, and says so in the log when that takes long. Raises StartError.
    """
    waiting = asyncio.get_running_loop().call_later(SLOW_SECONDS, _tell_what_is_waited_for, settings)
    try:
        return await _prepare(settings)
    finally:
        waiting.cancel()


def _tell_what_is_waited_for(settings: Settings) -> None:
    name = database_name(settings)
    logger.warning("%s is not ready yet: another process may be starting with it, or hold it locked", name)


async def _prepare(settings: Settings) -> Start:
    keyring, key_file_made = await asyncio.to_thread(prepare_database, settings)
    options = settings.database_options.patient()
    try:
        async with _closing(await open_store(database_url(settings), keyring, options)) as store:
            await store.sealed_rows.check()
            # Before the administrator key is made: a start that is refused must not have made one that nobody saw.
            await seed(store, file=settings.seed_file, environment=os.environ)
            given = settings.admin_key.get_secret_value() if settings.admin_key is not None else None
            admin_key = await ensure_admin_key(store, given)
    except (StoreError, ResolverError) as error:
        raise StartError(str(error)) from error
    return Start(settings=settings, key_file_made=key_file_made, admin_key=admin_key)


@contextlib.asynccontextmanager
async def _closing(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def _services(settings: Settings, local_token_hash: str | None) -> AsyncIterator[Services]:
    async with contextlib.AsyncExitStack() as stack:
        store, feed = await stack.enter_async_context(_followed_store(settings))
        await stack.enter_async_context(housekeeping(store, settings))
        metrics = Metrics()
        store.on_commit(lambda _: metrics.committed())
        denials = Denials(store.audit_log)
        await stack.enter_async_context(denials.written())
        oidc = await stack.enter_async_context(_oidc(settings))
        presence = Presence(store, lease_seconds=settings.component_lease_seconds, on_acknowledged=metrics.acknowledged)
        await stack.enter_async_context(presence.written())
        door = _Door(settings, store, oidc, local_token_hash, denials, metrics)
        endpoint = _endpoint(settings, door, feed, presence)
        stack.push_async_callback(endpoint.close)
        revocation = Revocation(store, endpoint)
        feed.deliver_after(revocation.settle)
        store.fleet.deliver_after(revocation.settle)
        await stack.enter_async_context(revocation.followed())
        await stack.enter_async_context(key_uses_written(store.api_keys, endpoint))
        monitored = Monitored(settings, store, feed, endpoint, presence, metrics)
        await stack.enter_async_context(monitored.noted())
        yield Services(store, feed, endpoint, monitored)


@contextlib.asynccontextmanager
async def _followed_store(settings: Settings) -> AsyncIterator[tuple[Store, Feed]]:
    """The store, and the feed that follows its change log. Raises StartError."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            keyring = await asyncio.to_thread(read_keyring, settings)
            store = await stack.enter_async_context(
                _closing(await open_store(database_url(settings), keyring, settings.database_options))
            )
            feed = Feed(store, poll_seconds=settings.feed_poll_seconds, bookmark_seconds=settings.bookmark_seconds)
            store.on_commit(feed.committed)
            await feed.start()
            stack.push_async_callback(feed.stop)
        except StoreError as error:
            raise StartError(str(error)) from error
        yield store, feed


@dataclass(frozen=True, slots=True)
class _Door:
    """Who is let in, and who hears of those who are not. `oidc` and `local_token_hash` None: there is none."""

    settings: Settings
    store: Store
    oidc: OidcVerifier | None
    local_token_hash: str | None
    denials: Denials
    metrics: Metrics

    async def principal(self, authorization: str | None) -> Principal:
        """Who shows this header. Raises Unauthenticated."""
        if self.settings.no_auth:
            return NO_AUTH
        if is_local(authorization, self.local_token_hash):
            return LOCAL
        try:
            return await authenticate(self.store, authorization, self.oidc)
        except Unauthenticated as error:
            self.denials.unauthenticated(error)
            self.metrics.unauthenticated()
            raise

    def refused(self, context: Context, field: str | None, error: RequestError) -> None:
        """Note what a resolver refused: see `GraphQLEndpoint`."""
        self.denials.refused(context, field, error)
        self.metrics.refused(error.code)


def _endpoint(settings: Settings, door: _Door, feed: Feed, presence: Presence) -> GraphQLEndpoint:
    outbound, rules = Outbound(policy=settings.outbound_policy), settings.session_rules
    return GraphQLEndpoint(
        schema,
        authenticate=door.principal,
        context=lambda principal: Context(
            principal,
            door.store,
            feed,
            outbound,
            rules,
            source=source.get(),
            cookie=browser_cookie.get(),
            component=component_link.get(),
            reports=presence,
        ),
        limits=settings.limits,
        allowed_origins=settings.page_origins,
        open_mutations=frozenset() if settings.no_auth else OPEN_MUTATIONS,
        on_refusal=door.refused,
        introduce=presence.connect,
        sharing=Sharing(SHARED_FIELDS, feed.current, door.metrics),
    )


@contextlib.asynccontextmanager
async def _oidc(settings: Settings) -> AsyncIterator[OidcVerifier | None]:
    rules = settings.oidc_rules
    if rules is None:
        yield None
        return
    keys = IssuerKeys(rules.issuer)
    try:
        yield OidcVerifier(rules, keys)
    finally:
        await keys.close()


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for HTTPException alone
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)
