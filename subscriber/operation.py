"""What the link keeps subscribed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol as Interface

from .errors import OperationFailed, ProtocolError, ProviderClosed
from .protocol import Json, codes_of, text_of


class Operation(Interface):
    """One subscription that lives on across sockets."""

    def request(self) -> Mapping[str, Json]:
        """What to subscribe with now: query, variables and the position to resume from."""
        ...

    def receive(self, data: Json) -> None:
        """Apply one event. Raises ProtocolError when it is none."""
        ...

    def denied(self) -> None:
        """Note that the server refuses to tell it to who we are."""
        ...


def apply(operation: Operation, data: Json, errors: tuple[Mapping[str, Json], ...]) -> Exception | None:
    """Apply one event and give what went wrong. A ProtocolError is raised: it is the whole socket's.

    So is ProviderClosed: a callback of the component closed it while the event was applied.
    """
    if errors:
        return operation_failed(errors)
    try:
        operation.receive(data)
    except (ProtocolError, ProviderClosed):
        raise
    except Exception as error:  # noqa: BLE001 - one alias that fails must not stop the others; `_failed` logs it
        return error
    return None


def operation_failed(errors: tuple[Mapping[str, Json], ...]) -> OperationFailed:
    """Make an error of those with which the server answered."""
    return OperationFailed(f"the server answered the subscription with: {text_of(errors)}", codes_of(errors))
