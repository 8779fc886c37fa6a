"""The model object that a component holds: one alias, whatever configuration it has at the moment."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from typing import Protocol as Interface

from .callbacks import Callbacks
from .calls import Call
from .environment import DEFAULT_ALLOWED_ENV, AllowedEnv
from .errors import ConfigRefused, ModelNotReady, ProviderClosed
from .library import load_litellm, load_litellm_async, load_responses, load_responses_async, max_input_tokens
from .oauth import SignIn, sign_in
from .openai_client import OpenAiClientParams, openai_client_params
from .settings import ModelSettings
from .status import ModelStatus
from .waiting import Waiters, in_event_loop

if TYPE_CHECKING:
    from .protocol import Json


class _State(NamedTuple):
    """All that a call needs to know, in one reference."""

    status: ModelStatus
    settings: ModelSettings | None = None
    sign_in: SignIn | None = None
    cached_at: datetime | None = None


class Prepared(NamedTuple):
    """Settings that can be used as they are: references in them are followed."""

    settings: ModelSettings
    sign_in: SignIn | None


class Home(Interface):
    """What a model asks of its provider. `_override_seconds` is how long a call waits for a stand-in."""

    _override_seconds: float

    def _stand_in(self) -> LiteLlm | None:
        """The model that calls go to instead, in the present task or thread."""
        ...

    def _in_use(self) -> None:
        """See to it that a link runs in this process. Raises ProviderClosed when none can."""
        ...


class LiteLlm:
    """Calls of LiteLLM with the settings of one alias.

    Each call takes the settings once, at its start: an update meanwhile changes the next call and not this one.
    All of it can be used from any thread and any event loop.

    A provider makes it (`DynamicModelProvider.get_lite_llm_model`). One that is made by hand has the status `none`
    until `configure_model`.
    """

    def __init__(
        self,
        alias: str,
        *,
        allowed_env: Iterable[str] = DEFAULT_ALLOWED_ENV,
        _status: ModelStatus = ModelStatus.NONE,
        _home: Home | None = None,
    ) -> None:
        self.alias = alias
        self._allowed_env = AllowedEnv(allowed_env)
        self._home = _home
        self._now = _State(_status)
        self._lock = threading.Lock()
        self._refusal: ConfigRefused | None = None
        self._closed: str | None = None
        self._waiters = Waiters()
        self._on_status_change = Callbacks[ModelStatus]()
        self._on_settings_change = Callbacks[ModelSettings | None]()

    def __repr__(self) -> str:
        return f"<LiteLlm {self.alias!r} {self.status} {self.settings!r}>"

    @property
    def status(self) -> ModelStatus:
        """Whether calls can be made."""
        return self._now.status

    @property
    def settings(self) -> ModelSettings | None:
        """What calls are made with, all of one version; None when there is nothing to make calls with."""
        return self._now.settings

    @property
    def version(self) -> int | None:
        """The version of the config in use; None without one, and for one that was given by hand."""
        settings = self.settings
        return settings.version if settings else None

    @property
    def revision(self) -> str | None:
        """The revision of the config in use; None without one, and for one that was given by hand."""
        settings = self.settings
        return settings.revision if settings else None

    @property
    def cached_at(self) -> datetime | None:
        """When the server was last heard about the settings in use (UTC), while they come from the cache.

        None when they do not: then they came from the server in this process, or were given by hand, or there are none.
        """
        return self._now.cached_at

    @property
    def refusal(self) -> ConfigRefused | None:
        """Why the newest configuration is not in use; None when it is, or is being tried."""
        return self._refusal

    @property
    def max_input_tokens(self) -> int | None:
        """How many tokens a prompt may have: by the config, else by LiteLLM's registry, else None.

        The registry is LiteLLM's: the first time without a figure in the config imports it, which takes seconds.
        Raises ModelNotReady.
        """
        settings, _ = self.target._require()
        return max_input_tokens(settings.model) if settings.max_input_tokens is None else settings.max_input_tokens

    def on_status_change(self, callback: Callable[[ModelStatus, ModelStatus], object]) -> None:
        """Have `callback(old, new)` called after each change of status, in the thread in which the link runs.

        That is the event loop's, or one of Modelwire's own. What it raises is logged and harms nobody. Raises TypeError
        for a coroutine function.
        """
        self._on_status_change.add(callback)

    def on_settings_change(self, callback: Callable[[ModelSettings | None, ModelSettings | None], object]) -> None:
        """Have `callback(old, new)` called after each change of settings, a new version for example; rules as above.

        None stands for no settings. It is called before the callbacks for a change of status that comes with it.
        """
        self._on_settings_change.add(callback)

    async def wait_ready(self, timeout_seconds: float | None = None) -> None:
        """Wait until calls can be made. Raises ModelNotReady after the time-out (None: never), and ProviderClosed."""
        self._in_use()
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    with self._waiters.join() as woken:
                        if self._is_ready():
                            return
                        await asyncio.wrap_future(woken)
        except TimeoutError:
            if not self._is_ready():
                raise self._not_ready() from None

    def wait_ready_sync(self, timeout_seconds: float | None = None) -> None:
        """Do as `wait_ready` does, in a thread without an event loop. Raises RuntimeError where one runs."""
        if in_event_loop():
            raise RuntimeError(
                "an event loop runs in this thread, which must not be blocked: `await model.wait_ready()`"
            )
        self._in_use()
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            with self._waiters.join() as woken:
                if self._is_ready():
                    return
                try:
                    woken.result(None if deadline is None else max(deadline - time.monotonic(), 0))
                except TimeoutError:
                    raise self._not_ready() from None

    def _is_ready(self) -> bool:
        """Whether calls can be made. Raises ProviderClosed."""
        self._check_open()
        return self.status is ModelStatus.READY

    def configure_model(
        self, config: ModelSettings | Mapping[str, Json], *, _cached_at: datetime | None = None
    ) -> None:
        """Make calls with `config` from now on: settings, or LiteLLM's keyword arguments with `model` among them.

        References to environment variables are followed here. Raises ConfigRefused, and keeps the settings in use.
        """
        try:
            prepared = self._prepare(config)
        except ConfigRefused as refused:
            self._refuse(refused)
            raise
        self._use(prepared, _cached_at)

    def _prepare(self, config: ModelSettings | Mapping[str, Json]) -> Prepared:
        """Give what calls with it would be made with. Raises ConfigRefused and ProviderClosed."""
        self._check_open()
        settings = (
            config if isinstance(config, ModelSettings) else ModelSettings(alias=self.alias, litellm_params=config)
        )
        settings = settings.resolve(self._allowed_env)
        return Prepared(settings, sign_in(settings.litellm_params))

    def _use(self, prepared: Prepared, cached_at: datetime | None = None) -> None:
        """Make calls with it from now on. Raises ProviderClosed."""
        self._check_open()
        self._refusal = None
        self._set(_State(ModelStatus.READY, *prepared, cached_at))

    def _refuse(self, refusal: ConfigRefused | None) -> None:
        """Note why the newest configuration is not in use; None: it is not known yet whether it will be."""
        self._refusal = refusal

    def unconfigure_model(self) -> None:
        """Forget the settings, the credentials in them too. Calls under way finish with what they began with."""
        self._set(_State(ModelStatus.NONE))

    def completion(self, messages: list[Any], **kwargs: Any) -> Any:
        """Do `litellm.completion` with the settings; `kwargs` win over them.

        Raises ModelNotReady, ProviderClosed, OAuthFailed, TypeError for an argument that the configuration decides, and
        LiteLLM's errors.
        """
        call = self.begin_call(**kwargs)
        litellm = load_litellm()
        return litellm.completion(**call.chat(call.signed(), messages, litellm))

    async def acompletion(self, messages: list[Any], **kwargs: Any) -> Any:
        """Do `litellm.acompletion`, as `completion` does. With `stream=True` it gives an async iterator of chunks."""
        call = await self.abegin_call(**kwargs)
        litellm = await load_litellm_async()
        return await litellm.acompletion(**call.chat(await call.asigned(), messages, litellm))

    def embedding(self, input: Any, **kwargs: Any) -> Any:  # noqa: A002 - LiteLLM's name
        """Do `litellm.embedding`, as `completion` does."""
        params = self.begin_call(**kwargs).signed()
        return load_litellm().embedding(input=input, **params)

    async def aembedding(self, input: Any, **kwargs: Any) -> Any:  # noqa: A002 - LiteLLM's name
        """Do `litellm.aembedding`, as `completion` does."""
        params = await (await self.abegin_call(**kwargs)).asigned()
        return await (await load_litellm_async()).aembedding(input=input, **params)

    def responses(self, input: Any, **kwargs: Any) -> Any:  # noqa: A002 - LiteLLM's name
        """Do `litellm.responses`, as `completion` does. Raises SubscriberError without the package `mcp`."""
        params = self.begin_call(**kwargs).signed()
        return load_responses().responses(input=input, **params)

    async def aresponses(self, input: Any, **kwargs: Any) -> Any:  # noqa: A002 - LiteLLM's name
        """Do `litellm.aresponses`, as `completion` does. Raises SubscriberError without the package `mcp`."""
        params = await (await self.abegin_call(**kwargs)).asigned()
        return await (await load_responses_async()).aresponses(input=input, **params)

    def litellm_params(self) -> dict[str, Any]:
        """Give the keyword arguments for any other function of LiteLLM, credentials too. The copy is the caller's.

        Raises ModelNotReady. With OAuth2 client credentials it blocks when a token has to be fetched, and raises
        OAuthFailed: in an event loop use `alitellm_params`.
        """
        return self.begin_call().signed()

    async def alitellm_params(self) -> dict[str, Any]:
        """Do as `litellm_params` does, without blocking the event loop."""
        return await (await self.abegin_call()).asigned()

    def openai_client_params(self) -> OpenAiClientParams:
        """Give what the `openai` package needs to make calls itself, all of one version; see OpenAiClientParams.

        Parameters that it does not know are left out. Raises what `litellm_params` does, and SubscriberError for a
        provider that does not speak OpenAI's API.
        """
        return openai_client_params(self.litellm_params())

    def begin_call(self, **kwargs: Any) -> Call:
        """Take the settings for one call of LiteLLM that somebody else makes, such as an adapter for a framework.

        `kwargs` are joined with them as those of `completion` are. Raises ModelNotReady, ProviderClosed and TypeError.
        """
        target = self.target
        if self._must_wait_for(target) and not in_event_loop():
            target.wait_ready_sync(timeout_seconds=self._override_seconds)
        return Call.of(*target._require(), kwargs)

    async def abegin_call(self, **kwargs: Any) -> Call:
        """Do as `begin_call` does; in an event loop it waits for an alias that `override` has just asked for."""
        target = self.target
        if self._must_wait_for(target):
            await target.wait_ready(timeout_seconds=self._override_seconds)
        return Call.of(*target._require(), kwargs)

    @property
    def target(self) -> LiteLlm:
        """The model that calls go to in the present task or thread: itself, or the one that `override` names."""
        return (self._home._stand_in() if self._home else None) or self

    def _must_wait_for(self, target: LiteLlm) -> bool:
        """Nobody could have waited for the alias that an override has just asked for."""
        return target is not self and target.status is ModelStatus.INITIALIZING

    @property
    def _override_seconds(self) -> float:
        return self._home._override_seconds if self._home else 0.0

    def _require(self) -> tuple[ModelSettings, SignIn | None]:
        self._in_use()
        now = self._now
        if now.settings is None:
            raise self._not_ready()
        return now.settings, now.sign_in

    def _not_ready(self) -> ModelNotReady:
        refusal = self._refusal
        detail = f"its newest configuration was refused: {refusal}" if refusal else None
        return ModelNotReady(self.status, self.alias, detail)

    def _in_use(self) -> None:
        self._check_open()
        if self._home is not None:
            self._home._in_use()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ProviderClosed(f"the model {self.alias!r} makes no calls any more: {self._closed}")

    def _close(self, why: str) -> None:
        """End it together with its provider."""
        self._closed = why
        self.unconfigure_model()
        self._waiters.wake()

    def _after_fork(self) -> None:
        """Other threads may have held the locks, and are gone."""
        self._lock = threading.Lock()
        self._waiters = Waiters()

    def _set(self, new: _State) -> None:
        """Change settings and status: the only place where this happens."""
        status, settings = new.status, new.settings
        with self._lock:
            old_status, old_settings = self._now.status, self._now.settings
            if settings is not None:
                # Another thread may have closed it meanwhile.
                self._check_open()
                if settings.same_as(old_settings):
                    # What the cache had is confirmed.
                    self._now = self._now._replace(cached_at=new.cached_at)
                    return
            else:
                self._refusal = None
            self._now = new
        if status is ModelStatus.READY:
            self._waiters.wake()
        if settings is not old_settings:
            self._on_settings_change.notify(old_settings, settings)
        if status is not old_status:
            self._on_status_change.notify(old_status, status)
