"""What resolvers tell of components, and to whom: kept by the server process, written by it now and then."""

from __future__ import annotations

from typing import Protocol

from ..store import Acknowledgement, Selector, WatchEvent


class ComponentLink(Protocol):
    """An open socket of a component. Nothing here waits or raises: delivery does not depend on it."""

    @property
    def component_id(self) -> str:
        """See `store.component_id`."""

    def watches(self, selector: Selector) -> None:
        """A watch of the component began."""

    def delivered(self, selector: Selector, event: WatchEvent) -> None:
        """The component was sent this event of a watch that began."""

    def leaves(self, selector: Selector) -> None:
        """A watch that began is over."""


class Reports(Protocol):
    """Takes what components say."""

    def knows(self, component_id: str) -> bool:
        """Whether it is connected to this process."""

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Return when it is written, together with what others say. Raises StoreError."""
