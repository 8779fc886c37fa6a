"""The current configs in memory, so that reads are answered while the database is away."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from .listing import Listing, Place
from .records import Change, ModelConfig, Position, Selector, Snapshot
from .secrets import Keyring

logger = logging.getLogger(__name__)


class Mirror:
    """What the feed has seen: every current config at one position, or nothing while there are too many of them.

    The feed loads it and keeps it at its own position, in steps between which nobody reads. `keyring` is the one that
    opens what is in it; None: nobody does.
    """

    def __init__(self, max_configs: int, keyring: Keyring | None = None) -> None:
        self.max_configs = max_configs
        self._keyring = keyring
        self._position: Position | None = None
        self._configs: dict[str, ModelConfig] = {}
        # Many ask for few configs at once, when a fleet comes back.
        self._ids: dict[str, str] = {}

    def load(self, snapshot: Snapshot) -> None:
        """Begin with the state of everything."""
        self._position = Position(snapshot.store_id, snapshot.revision)
        self._configs = {config.id: config for config in snapshot.configs}
        self._ids = {config.alias: config.id for config in snapshot.configs}
        self._check_size()
        self._hold_keys(snapshot.configs)

    def clear(self) -> None:
        """Hold nothing, until the next load."""
        self._position = None
        self._configs = {}
        self._ids = {}

    def apply(self, changes: Sequence[Change]) -> None:
        """Go on by changes that are newer than all before, whole transactions of them."""
        if self._position is None:
            return
        revision = self._position.revision
        for change in changes:
            before = self._configs.pop(change.config_id, None)
            # Another config may have taken its alias in the same transaction.
            if before is not None and self._ids.get(before.alias) == before.id:
                del self._ids[before.alias]
            if change.config is not None:
                self._configs[change.config_id] = change.config
                self._ids[change.config.alias] = change.config_id
            revision = change.revision
        self._position = Position(self._position.store_id, revision)
        self._check_size()
        self._hold_keys(change.config for change in changes)

    def snapshot(self, selector: Selector) -> Snapshot | None:
        """As `Store.snapshot`; None when this holds nothing."""
        if self._position is None:
            return None
        ids = {*(selector.ids or ()), *(self._ids.get(alias, "") for alias in selector.aliases or ())}
        candidates = self._configs.values() if selector.everything else map(self._configs.get, ids)
        named = (config for config in candidates if config is not None and selector.matches(config.id, config.alias))
        configs = tuple(sorted(named, key=lambda config: config.alias))
        return Snapshot(store_id=self._position.store_id, revision=self._position.revision, configs=configs)

    def page(self, listing: Listing, *, first: int, after: Place | None) -> list[ModelConfig] | None:
        """As `Store.page`; None when this holds nothing."""
        if self._position is None:
            return None
        found = sorted(filter(listing.holds, self._configs.values()), key=listing.place_of, reverse=listing.descending)
        if after is not None:
            found = [
                config
                for config in found
                if (listing.place_of(config) < after if listing.descending else listing.place_of(config) > after)
            ]
        return found[:first]

    def _hold_keys(self, configs: Iterable[ModelConfig | None]) -> None:
        if self._keyring is not None:
            self._keyring.hold(config.sealed for config in configs if config is not None and config.sealed is not None)

    def _check_size(self) -> None:
        if len(self._configs) > self.max_configs:
            logger.warning(
                "there are more than %s configs: they are not kept in memory, and reads fail when the database is away",
                self.max_configs,
            )
            self.clear()
