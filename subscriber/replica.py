"""The component's copy of one alias: takes the events of its subscription and configures its model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from . import events
from .acknowledgements import Verdict
from .errors import ConfigRefused, ProtocolError
from .settings import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .cache import Cache
    from .model import LiteLlm
    from .protocol import Json

logger = logging.getLogger(__name__)


class AliasReplica:
    """What is known of one alias, at which position. An `Operation` of the link.

    `acknowledge` hears what became of each version, once it is applied or refused. `cache` hears what is in use; None
    keeps nothing beyond this process.
    """

    def __init__(self, model: LiteLlm, acknowledge: Callable[[Verdict], None], cache: Cache | None = None) -> None:
        self._model = model
        self._acknowledge = acknowledge
        self._cache = cache
        self._denied = False
        self._position: str | None = None
        self._known: tuple[str, int] | None = None
        """Id and version of the config that has the alias, also of a placeholder or a refused one; None without one."""

    @property
    def alias(self) -> str:
        return self._model.alias

    def request(self) -> Mapping[str, Json]:
        """Ask for what changed since the last event, or for all at the first time."""
        return events.request(self._model.alias, self._position)

    def receive(self, data: Json) -> None:
        """Apply one event, then move the position. Raises ProtocolError."""
        event = events.parse(data)
        match event:
            case events.Snapshot(_, configs):
                self._snapshot(self._own(configs))
            case events.Change(_, put, removed):
                self._change(self._own(put), removed)
            case events.Bookmark() if self._cache is not None:
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
            self._model.configure_model(_settings(config), _cached_at=heard_at)
        except ConfigRefused as refused:
            logger.warning("version %s of %r in the cache cannot be used: %s", config.version, self.alias, refused)
            return False
        return True

    def _own(self, configs: tuple[events.Config, ...]) -> events.Config | None:
        if len(configs) > 1 or any(config.alias != self._model.alias for config in configs):
            raise ProtocolError(f"the server sent other configs than the one of the alias {self._model.alias!r}")
        return configs[0] if configs else None

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

    def _gone(self) -> None:
        self._known = None
        self._unconfigure()

    def _use(self, config: events.Config) -> None:
        refused = None
        if config.litellm_params is None:
            self._unconfigure()
        else:
            refused = self._configure(config)
        self._known = (config.id, config.version)
        said = (refused.reason, str(refused)) if refused else (None, None)
        self._acknowledge(Verdict(config.id, config.version, *said))

    def _unconfigure(self) -> None:
        self._model.unconfigure_model()
        if self._cache is not None:
            self._cache.remove(self.alias)

    def _configure(self, config: events.Config) -> ConfigRefused | None:
        """Make calls with it from now on. Gives why not."""
        in_use = self._model.settings
        try:
            self._model.configure_model(_settings(config))
        except ConfigRefused as refused:
            # The one in use stays as long as it exists. Another id says that it was deleted or renamed away.
            if in_use is not None and in_use.id != config.id:
                self._unconfigure()
                in_use = None
            logger.error(  # noqa: TRY400 - the reason is the whole story, a traceback would bury it
                "version %s of %r is refused (%s); %s",
                config.version,
                config.alias,
                refused,
                f"version {in_use.version} stays in use" if in_use else "the model has no configuration to use",
            )
            return refused
        if self._cache is not None:
            self._cache.put(config)
        return None


def _settings(config: events.Config) -> ModelSettings:
    return ModelSettings(
        alias=config.alias,
        id=config.id,
        version=config.version,
        revision=config.revision,
        litellm_params=config.litellm_params or {},
        max_input_tokens=config.max_input_tokens,
    )
