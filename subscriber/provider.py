"""The provider: one link to the server, and the models of one component."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from .. import __version__
from .connection import websocket_url
from .environment import DEFAULT_ALLOWED_ENV
from .errors import ConfigurationError, ProviderClosed
from .links import Links
from .model import LiteLlm
from .replica import AliasReplica
from .status import LinkStatus, ModelStatus
from .timing import Timing
from .token import Token, TokenSource

if TYPE_CHECKING:
    from types import TracebackType

_MAX_ALIAS_CHARACTERS = 100

# Which models stand in for those of a provider, in the present task.
_overrides: ContextVar[Mapping[DynamicModelProvider, LiteLlm]] = ContextVar(
    "modelwire_overrides", default=MappingProxyType({})
)


class DynamicModelProvider:
    """The models of one component, kept current over one websocket.

    `url` is the server's address (`http://127.0.0.1:8400`), `component` the name under which operators see this
    process; both, and `token`, come from MODELWIRE_URL, MODELWIRE_COMPONENT and MODELWIRE_TOKEN when they are absent.
    `token` may be a function, or a coroutine function, that gives one: it is called for each connection, and again
    before the token expires, to go on with the new one on the same connection.
    `kind` and `labels` tell operators more about the component. `allowed_env` names the environment variables that
    configurations may refer to (see DEFAULT_ALLOWED_ENV). Raises ConfigurationError.

    Use it as `async with DynamicModelProvider(...) as provider`: inside, it connects, and comes back whenever the
    link is lost.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: Token | None = None,
        component: str | None = None,
        kind: str = "component",
        labels: Mapping[str, str] | None = None,
        allowed_env: Iterable[str] = DEFAULT_ALLOWED_ENV,
        _timing: Timing | None = None,
    ) -> None:
        self._timing = _timing or Timing()
        address = websocket_url(_setting("url", url, "MODELWIRE_URL"))
        source = TokenSource(
            token if callable(token) else _setting("token", token, "MODELWIRE_TOKEN"),
            timeout_seconds=self._timing.open_seconds,
        )
        introduction = {
            "instanceId": uuid.uuid4().hex,
            "name": _setting("component", component, "MODELWIRE_COMPONENT"),
            "kind": kind,
            "libraryVersion": __version__,
            "labels": dict(labels or {}),
        }
        self._allowed_env = tuple(allowed_env)
        self._links = Links(address, token=source, component=introduction, timing=self._timing)
        self._models: dict[str, LiteLlm] = {}
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        self._check_open()
        if self._task is not None:
            raise RuntimeError("the provider is in use already: make one per `async with`")
        self._task = asyncio.create_task(self._links.run(), name="modelwire-link")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the link and forget all settings. Models make no calls any more; calls under way finish."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._links.closed()
        for model in self._models.values():
            model._close()

    @property
    def link(self) -> LinkStatus:
        """How fresh the models' configurations are."""
        return self._links.status

    def on_link_change(self, callback: Callable[[LinkStatus, LinkStatus], object]) -> None:
        """Have `callback(old, new)` called in the event loop's thread after each change of `link`.

        What it raises is logged and harms nobody. Raises TypeError for a coroutine function.
        """
        self._links.on_change.add(callback)

    def get_lite_llm_model(self, alias: str) -> LiteLlm:
        """Give the model of an alias at once; it becomes ready by itself. The same alias gives the same object.

        Raises ProviderClosed.
        """
        if not isinstance(alias, str) or not 0 < len(alias) <= _MAX_ALIAS_CHARACTERS:
            raise ConfigurationError(f"an alias is a text of 1 to {_MAX_ALIAS_CHARACTERS} characters")
        with self._lock:
            self._check_open()
            if (model := self._models.get(alias)) is None:
                model = self._models[alias] = LiteLlm(
                    alias,
                    allowed_env=self._allowed_env,
                    _status=ModelStatus.INITIALIZING,
                    _override=self._override,
                    _override_seconds=self._timing.override_seconds,
                )
                self._links.add(AliasReplica(model))
        return model

    @contextmanager
    def override(self, alias: str) -> Iterator[LiteLlm]:
        """Run all calls of this provider's models on the model of `alias`, in this task and those it starts inside.

        Asynchronous calls wait some seconds for the alias' first configuration when nobody asked for it before.
        """
        model = self.get_lite_llm_model(alias)
        reset = _overrides.set(MappingProxyType({**_overrides.get(), self: model}))
        try:
            yield model
        finally:
            _overrides.reset(reset)

    def _override(self) -> LiteLlm | None:
        return _overrides.get().get(self)

    def _check_open(self) -> None:
        if self._closed:
            raise ProviderClosed("the provider was closed: make a new one")


def _setting(name: str, value: str | None, variable: str) -> str:
    """Give an argument, or else the variable. Raises ConfigurationError; its text never shows the value."""
    source = name if value is not None else variable
    value = os.environ.get(variable, "").strip() if value is None else value
    if not isinstance(value, str) or not value.isprintable():
        raise ConfigurationError(f"{source} is not a printable text")
    if not value:
        raise ConfigurationError(f"no {name}: give it as {name}=… or set {variable}")
    return value
