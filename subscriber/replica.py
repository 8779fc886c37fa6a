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

    from .model import LiteLlm
    from .protocol import Json

logger = logging.getLogger(__name__)


class AliasReplica:
    """What is known of one alias, at which position. An `Operation` of the link.

    `acknowledge` hears what became of each version, once it is applied or refused.
    """

    def __init__(self, model: LiteLlm, acknowledge: Callable[[Verdict], None]) -> None:
        self._model = model
        self._acknowledge = acknowledge
        self._position: str | None = None
        self._known: tuple[str, int] | None = None
        """Id and version of the config that has the alias, also of a placeholder or a refused one; None without one."""

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
        self._position = event.revision

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
        self._model.unconfigure_model()

    def _use(self, config: events.Config) -> None:
        if config.litellm_params is None:
            self._model.unconfigure_model()
            refused = None
        else:
            settings = ModelSettings(
                alias=config.alias,
                id=config.id,
                version=config.version,
                revision=config.revision,
                litellm_params=config.litellm_params,
                max_input_tokens=config.max_input_tokens,
            )
            refused = self._configure(settings)
        self._known = (config.id, config.version)
        reason, message = (None, None) if refused is None else (refused.reason, str(refused))
        self._acknowledge(Verdict(config.id, config.version, reason, message))

    def _configure(self, settings: ModelSettings) -> ConfigRefused | None:
        """Use the settings; why not, if they are refused."""
        in_use = self._model.settings
        try:
            self._model.configure_model(settings)
        except ConfigRefused as refused:
            # The one in use stays as long as it exists. Another id says that it was deleted or renamed away.
            if in_use is not None and in_use.id != settings.id:
                self._model.unconfigure_model()
                in_use = None
            logger.error(  # noqa: TRY400 - the reason is the whole story, a traceback would bury it
                "version %s of %r is refused (%s); %s",
                settings.version,
                settings.alias,
                refused,
                f"version {in_use.version} stays in use" if in_use else "the model has no configuration to use",
            )
            return refused
        return None
