"""What can be counted of delivery over websockets: one place to listen to it."""

from __future__ import annotations

from typing import Protocol


class Deliveries(Protocol):
    """Hears what became of the events of watches. Called in the event loop, for many members at once; must not raise.

    All of it is about websockets: events of other streams, and of operations that cannot be shared, are not counted.
    """

    def delivered(self, members: int, seconds: float | None) -> None:
        """So many members were sent an event, this long after its latest change was made (by the writer's clock); None:
        it had no change in it, or was of a catch-up."""

    def caught_up(self) -> None:
        """A member that was away or slow was sent all that it had missed, in one event."""

    def fell_behind(self) -> None:
        """A member that was in step could not be written to at once."""

    def dropped(self) -> None:
        """A connection was closed because its peer did not read for the send timeout."""


class Uncounted:
    """Listens to nothing."""

    def delivered(self, members: int, seconds: float | None) -> None: ...

    def caught_up(self) -> None: ...

    def fell_behind(self) -> None: ...

    def dropped(self) -> None: ...
