"""The component's copy of one alias: takes the events of its subscription and configures its model."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from . import events
from .acknowledgements import Verdict
from .errors import ConfigRefused, ProtocolError
from .model import LiteLlm
from .settings import ModelSettings
from .tracing import span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .cache import Cache
    from .model import Prepared
    from .protocol import Json
    from .trials import Trial

logger = logging.getLogger(__name__)


class AliasReplica:
    """What is known of one alias, at which position. An `Operation` of the link.

    `acknowledge` hears what became of each version, once it is applied or refused. `cache` hears what is in use; None
    keeps nothing beyond this process. With a `trial` each configuration is tried with a call before it is used.
    """

    def __init__(
        self,
        model: LiteLlm,
        acknowledge: Callable[[Verdict], None],
        cache: Cache | None = None,
        trial: Trial | None = None,
    ) -> None:
        self._model = model
        self._acknowledge = acknowledge
        self._cache = cache
        self._trial = trial
        self._tried: events.Config | None = None
        """What the last trial was begun with."""
        self._denied = False
        self._position: str | None = None
        self._known: tuple[str, int] | None = None
        """Id and version of the config that has the alias, also of a placeholder or a refused one; None without one."""

    @property
    def alias(self) -> str:
        return self._model.alias

    def request(self) -> Mapping[str, Json]:
        """Ask for what changed since the last event, or for all at the first time.

        For all too while a trial goes on: the events since it began are not applied, so there is no position to resume
        from, and what is being tried may be gone.
        """
        return events.request(self._model.alias, None if self._is_trying() else self._position)

    def receive(self, data: Json) -> None:
        """Apply one event, then move the position. Raises ProtocolError."""
        event = events.parse(data)
        match event:
            case events.Snapshot(_, configs):
                self._snapshot(self._own(configs))
            case events.Change(_, put, removed):
                self._change(self._own(put), removed)
            case events.Bookmark() if self._cache is not None and not self._is_trying():
                self._cache.heard(self.alias)
        self._position = event.revision

    def denied(self) -> None:
        """Note that the server refuses to tell: whoever lost the right does not get by on what the cache remembers."""
        self._denied = True

    def restore(self, config: events.Config, heard_at: datetime) -> bool:
        """Use what the cache remembers, unless the server told or denied something. Raises ProviderClosed.

        The position stays at the beginning, so that the first event replaces it, whatever it was.
        """
        if self._position is not None or self._denied:
            return False
        try:
            self._model.configure_model(settings_of(config), _cached_at=heard_at)
        except ConfigRefused as refused:
            logger.warning("version %s of %r in the cache cannot be used: %s", config.version, self.alias, refused)
            return False
        return True

    def _own(self, configs: tuple[events.Config, ...]) -> events.Config | None:
        if not configs:
            return None
        if len(configs) > 1 or configs[0].alias != self._model.alias:
            raise ProtocolError(f"the server sent other configs than the one of the alias {self._model.alias!r}")
        return configs[0]

    def _snapshot(self, config: events.Config | None) -> None:
        # Whatever it says holds, a lower version too: after a restored backup that is the truth.
        if config is None:
            self._gone()
        else:
            self._use(config)

    def _change(self, config: events.Config | None, removed: frozenset[str]) -> None:
        if config is not None:
            if self._known is None or self._known[0] != config.id or self._known[1] < config.version:
                self._use(config)
        elif self._known is not None and self._known[0] in removed:
            self._gone()

    def after_fork(self, trial: Trial | None) -> None:
        """In the child: the parent's trial is not here. What it was about is told, and tried, anew."""
        if self._trial is not None and self._trial.alive:
            self._position = self._known = self._tried = None
        self._trial = trial

    def _is_trying(self) -> bool:
        return self._trial is not None and self._trial.pending

    def _gone(self) -> None:
        self._known = None
        self._abandon_trial()
        self._unconfigure()

    def _use(self, config: events.Config) -> None:
        if self._cache is not None:
            self._cache.owned(self.alias, config.id)
        self._take(config)
        self._known = (config.id, config.version)

    def _take(self, config: events.Config) -> None:
        """Apply it, refuse it, or begin to try it."""
        if self._trial is not None and self._trial.alive and config == self._tried:
            # A snapshot repeats it. Whoever sent it may not have heard what became of it so far.
            if (refusal := self._model.refusal) is not None:
                self._say(config, refusal)
            return
        self._abandon_trial()
        if config.litellm_params is None:
            self._unconfigure()
            self._say(config)
            return
        try:
            prepared = self._model._prepare(settings_of(config))
        except ConfigRefused as refused:
            self._refuse(config, refused)
            return
        if self._trial is None or prepared.settings.same_as(self._model.settings):
            self._apply(config, prepared)
        else:
            self._tried = config
            self._model._refuse(None)
            candidate = LiteLlm(config.alias)
            candidate._use(prepared)
            self._trial.begin(candidate, partial(self._was_tried, config, prepared))

    def _was_tried(self, config: events.Config, prepared: Prepared, refused: ConfigRefused | None) -> None:
        if refused is None:
            self._tried = None
            self._apply(config, prepared)
        elif self._model.refusal is None or str(refused) != str(self._model.refusal):
            self._refuse(config, refused)

    def _apply(self, config: events.Config, prepared: Prepared) -> None:
        """Make calls with it from now on."""
        with span("modelwire.apply", config):
            self._model._use(prepared)
        if self._cache is not None:
            self._cache.put(config)
        self._say(config)

    def _refuse(self, config: events.Config, refused: ConfigRefused) -> None:
        """Go on with the one in use."""
        in_use = self._model.settings
        # It stays as long as it exists. Another id says that it was deleted or renamed away.
        if in_use is not None and in_use.id != config.id:
            self._unconfigure()
            in_use = None
        with span("modelwire.refuse", config, refused):
            self._model._refuse(refused)
        logger.error(
            "version %s of %r is refused (%s); %s",
            config.version,
            config.alias,
            refused,
            f"version {in_use.version} stays in use" if in_use else "the model has no configuration to use",
        )
        self._say(config, refused)

    def _say(self, config: events.Config, refused: ConfigRefused | None = None) -> None:
        said = (refused.reason, str(refused)) if refused else (None, None)
        self._acknowledge(Verdict(config.id, config.version, *said))

    def _unconfigure(self) -> None:
        self._model.unconfigure_model()
        if self._cache is not None:
            self._cache.remove(self.alias)

    def _abandon_trial(self) -> None:
        # With its credentials.
        self._tried = None
        if self._trial is not None:
            self._trial.abandon()


def settings_of(config: events.Config) -> ModelSettings:
    """A config as a model is given it; references in it are not followed yet."""
    return ModelSettings(
        alias=config.alias,
        id=config.id,
        version=config.version,
        revision=config.revision,
        litellm_params=config.litellm_params or {},
        max_input_tokens=config.max_input_tokens,
    )
