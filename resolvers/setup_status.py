"""Whether the default aliases are configured, which every component may count on."""

from __future__ import annotations

from dataclasses import dataclass

from ..store import DEFAULT_ALIASES, Selector
from .access import Context, Scope
from .errors import translates_store_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupStatus:
    """The default aliases that cannot be used yet, in their order."""

    missing: tuple[str, ...]

    @property
    def configured(self) -> bool:
        """Whether none is missing."""
        return not self.missing


@translates_store_errors
async def setup_status(context: Context) -> SetupStatus:
    """Which default aliases have no provider or no model. Those that the caller's key does not open are left out.

    Raises Forbidden.
    """
    context.principal.require(Scope.MODEL_CONFIG_READ)
    expected = [alias for alias in DEFAULT_ALIASES if context.principal.aliases.allows(alias)]
    snapshot = await context.store.snapshot(Selector(aliases=frozenset(expected)))
    configured = {config.alias for config in snapshot.configs if config.configured}
    return SetupStatus(missing=tuple(alias for alias in expected if alias not in configured))
