"""The provider: one link to the server, and the models of one component."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from .. import __version__
from .acknowledgements import Verdict
from .address import websocket_url
from .background import Background
from .cache import make_cache
from .callbacks import Callbacks
from .environment import DEFAULT_ALLOWED_ENV, AllowedEnv
from .errors import ConfigurationError, ProviderClosed
from .forking import remember
from .links import Links
from .model import LiteLlm
from .replica import AliasReplica
from .status import LinkStatus, ModelStatus
from .timing import Timing
from .token import Token, TokenSource
from .trials import Trial, Trials

if TYPE_CHECKING:
    from types import TracebackType

_MAX_ALIAS_CHARACTERS = 100
# A thread may wait for a function of the component that gives a token and never comes back.
_STOP_SECONDS = 10.0

_CLOSED = "its provider was closed"


@dataclass(slots=True, eq=False)
class _Override:
    """A model that stands in for all of its provider, until it is over."""

    model: LiteLlm
    over: bool = False


# Those of each provider in the present task; the last one counts.
_overrides: ContextVar[Mapping[DynamicModelProvider, tuple[_Override, ...]]] = ContextVar(
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

    `cache` (or MODELWIRE_CACHE) is the path of a file for the last known good configurations, from which models are
    made ready when the server says nothing about them for some seconds at the start. `cache_key` (or
    MODELWIRE_CACHE_KEY), at least 32 characters made at random, seals it; without one the token does, when it is a
    text.

    With `probe` each new configuration is first tried with a real chat call that offers a tool, and the one in use
    stays when that fails: True for all aliases, or a collection of those that are for chat.

    Use it as `async with DynamicModelProvider(...) as provider`: inside, it connects, and comes back whenever the
    link is lost. `with DynamicModelProvider(...) as provider`, or `start()`, does that in a thread of Modelwire's own,
    for components without an event loop; there it also connects anew, by itself, in the child of a fork.
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
        cache: str | os.PathLike[str] | None = None,
        cache_key: str | None = None,
        probe: bool | Collection[str] = False,
        _timing: Timing | None = None,
    ) -> None:
        self._timing = _timing or Timing()
        self._override_seconds = self._timing.override_seconds
        self._url = websocket_url(_setting("url", url, "MODELWIRE_URL"))
        self._token = token if callable(token) else _setting("token", token, "MODELWIRE_TOKEN")
        self._introduction = {
            "name": _setting("component", component, "MODELWIRE_COMPONENT"),
            "kind": kind,
            "libraryVersion": __version__,
            "labels": dict(labels or {}),
        }
        self._allowed_env = AllowedEnv(allowed_env).names
        self._cache = make_cache(cache, cache_key, token=self._token, address=self._url)
        self._probe = _probed(probe)
        self._trials = Trials(self._timing)
        self._on_link_change = Callbacks[LinkStatus]()
        self._links = self._make_links()
        self._models: dict[str, LiteLlm] = {}
        self._replicas: list[AliasReplica] = []
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._thread: Background | None = None
        self._lost_thread = False
        self._closed: str | None = None
        remember(self)

    async def __aenter__(self) -> Self:
        with self._lock:
            self._check_unused()
            self._task = asyncio.create_task(self._run(), name="modelwire-link")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close_sync()

    def start(self) -> Self:
        """Run the link in a daemon thread, until `close_sync()` or the end of the process."""
        with self._lock:
            self._check_unused()
            self._start_thread()
        return self

    async def close(self) -> None:
        """End the link and forget all settings. Models make no calls any more; calls under way finish."""
        if self._task is None:
            await asyncio.to_thread(self.close_sync)
            return
        self._refuse_use(_CLOSED)
        loop = self._task.get_loop()
        try:
            if loop is asyncio.get_running_loop():
                self._task.cancel()
                await asyncio.wait([self._task])
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.close(), loop))
            elif not loop.is_closed():
                # Whoever stopped it may let it go on: nobody can wait for that.
                self._task.cancel()
        finally:
            self._end(_CLOSED)

    def close_sync(self) -> None:
        """Do as `close` does, for a provider whose link runs in a thread of its own; in callbacks too.

        Raises RuntimeError for one whose link runs in an event loop.
        """
        if self._task is not None:
            raise RuntimeError("the link runs in an event loop: `await provider.close()` there")
        self._refuse_use(_CLOSED)
        if self._thread is not None:
            self._thread.stop(_STOP_SECONDS)
        self._end(_CLOSED)

    def _refuse_use(self, why: str) -> str:
        """Let nobody use it from now on. Gives the first reason that was named."""
        with self._lock:
            self._closed = self._closed or why
            return self._closed

    def _end(self, why: str) -> None:
        why = self._refuse_use(why)
        self._links.closed()
        for model in self._models.values():
            model._close(why)

    def _start_thread(self) -> None:
        self._thread = Background(self._run, name="modelwire-link")
        self._thread.start()

    async def _run(self) -> None:
        """Keep the models current, until cancelled: by `close`, or by an event loop that ends with the link open."""
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._cache is not None:
                    tasks.create_task(self._cache.run(self._links.outdated, self._timing.start_seconds))
                tasks.create_task(self._links.run())
        finally:
            await self._trials.end()
            self._end("the event loop in which its link ran has ended")

    def _make_links(self) -> Links:
        """For this process: operators see each as a component of its own."""
        source = TokenSource(self._token, timeout_seconds=self._timing.open_seconds)
        component = {"instanceId": os.urandom(16).hex(), **self._introduction}
        links = Links(self._url, token=source, component=component, timing=self._timing)
        links.on_change.add(self._on_link_change.notify)
        return links

    def _after_fork(self) -> None:
        """In the child: what a thread did goes on in a new one at the first use; what an event loop did cannot."""
        self._lock = threading.Lock()
        for model in self._models.values():
            model._after_fork()
        self._links.release_sockets()
        self._links = self._make_links()
        if self._cache is not None:
            self._cache.after_fork()
        self._trials = Trials(self._timing)
        for replica in self._replicas:
            replica.after_fork(self._trial(replica.alias))
            self._add(replica)
        self._lost_thread, self._thread = self._thread is not None, None
        if self._task is not None:
            self._task = None
            self._end("its provider belongs to the event loop of the parent process; make one in the child")

    def _at_exit(self) -> None:
        if self._thread is not None:
            self.close_sync()

    def _in_use(self) -> None:
        """See to it that a link runs in this process, when one ran before the fork. Models call it."""
        if self._lost_thread:
            with self._lock:
                if self._lost_thread and self._closed is None:
                    self._start_thread()
                self._lost_thread = False

    @property
    def link(self) -> LinkStatus:
        """How fresh the models' configurations are."""
        return self._links.status

    def on_link_change(self, callback: Callable[[LinkStatus, LinkStatus], object]) -> None:
        """Have `callback(old, new)` called after each change of `link`, in the thread in which the link runs.

        What it raises is logged and harms nobody. Raises TypeError for a coroutine function.
        """
        self._on_link_change.add(callback)

    def get_lite_llm_model(self, alias: str) -> LiteLlm:
        """Give the model of an alias at once; it becomes ready by itself. The same alias gives the same object.

        Raises ProviderClosed.
        """
        if not isinstance(alias, str) or not 0 < len(alias) <= _MAX_ALIAS_CHARACTERS:
            raise ConfigurationError(f"an alias is a text of 1 to {_MAX_ALIAS_CHARACTERS} characters")
        self._in_use()
        with self._lock:
            self._check_open()
            if (model := self._models.get(alias)) is None:
                model = self._models[alias] = LiteLlm(
                    alias,
                    allowed_env=self._allowed_env,
                    _status=ModelStatus.INITIALIZING,
                    _home=self,
                )
                self._replicas.append(AliasReplica(model, self._acknowledge, self._cache, self._trial(alias)))
                self._add(self._replicas[-1])
        return model

    def _trial(self, alias: str) -> Trial | None:
        wanted = self._probe if isinstance(self._probe, bool) else alias in self._probe
        return Trial(self._trials) if wanted else None

    def _add(self, replica: AliasReplica) -> None:
        self._links.add(replica)
        if self._cache is not None:
            self._cache.add(replica)

    @contextmanager
    def override(self, alias: str) -> Iterator[LiteLlm]:
        """Run all calls of this provider's models on the model of `alias`, in this task, or thread, and tasks of it.

        Calls wait some seconds for the alias' first configuration when nobody asked for it before; synchronous ones in
        the thread of an event loop cannot.
        """
        model = self.get_lite_llm_model(alias)
        overridden = _Override(model)
        reset = _overrides.set(
            MappingProxyType({**_overrides.get(), self: (*_overrides.get().get(self, ()), overridden)})
        )
        try:
            yield model
        finally:
            try:
                _overrides.reset(reset)
            except ValueError:
                # A generator that was left half-read is ended in another context than the one that it was read in.
                overridden.over = True

    def _acknowledge(self, verdict: Verdict) -> None:
        self._links.acknowledge(verdict)

    def _stand_in(self) -> LiteLlm | None:
        """The model that calls of this provider's models go to in this task or thread. Models call it."""
        for overridden in reversed(_overrides.get().get(self, ())):
            if not overridden.over:
                return overridden.model
        return None

    def _check_unused(self) -> None:
        self._check_open()
        if self._task is not None or self._thread is not None or self._lost_thread:
            raise RuntimeError("the provider is in use already: make one for each `with`")

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ProviderClosed(f"the provider cannot be used any more ({self._closed}): make a new one")


def _probed(probe: bool | Collection[str]) -> bool | frozenset[str]:
    """Read the argument. Raises ConfigurationError."""
    if isinstance(probe, bool):
        return probe
    if isinstance(probe, str) or not isinstance(probe, Collection) or not all(isinstance(one, str) for one in probe):
        raise ConfigurationError("probe is True, False, or a collection of aliases")
    return frozenset(probe)


def _setting(name: str, value: str | None, variable: str) -> str:
    """Give an argument, or else the variable. Raises ConfigurationError; its text never shows the value."""
    source = name if value is not None else variable
    value = os.environ.get(variable, "").strip() if value is None else value
    if not isinstance(value, str) or not value.isprintable():
        raise ConfigurationError(f"{source} is not a printable text")
    if not value:
        raise ConfigurationError(f"no {name}: give it as {name}=… or set {variable}")
    return value
