"""Lists of callbacks that harm nobody."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Callbacks(Generic[T]):
    """Callables that are told of a change from an old to a new value, in the order in which they were added."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[T, T], object]] = []

    def add(self, callback: Callable[[T, T], object]) -> None:
        """Add one. Raises TypeError for a coroutine function, which would never run."""
        if not callable(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("a callback is a plain function of (old, new); start a task in it for anything that awaits")
        self._callbacks.append(callback)

    def notify(self, old: T, new: T) -> None:
        """Call all. What one of them raises is logged."""
        for callback in tuple(self._callbacks):
            try:
                callback(old, new)
            except Exception:
                logger.exception("a callback of the component failed; Modelwire goes on")
