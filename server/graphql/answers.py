"""Answers to queries that many ask for: each is made once for all with the same rights, until anything changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...resolvers.access import Principal
from ...store import Position, StoreError
from .sharing import GroupKey

if TYPE_CHECKING:
    from .execution import Result

KEPT_BYTES = 16 * 2**20
"""How large the answers that are kept may be in all, with what was asked."""

KEPT_ANSWERS = 1024


class KeptAnswers:
    """The answers at one position of the feed. `current` is `Feed.current`: what was committed before a question is in
    its answer, on whichever server.
    """

    def __init__(self, current: Callable[[], Awaitable[Position]]) -> None:
        self._current = current
        self._position: Position | None = None
        self._answers: dict[GroupKey, Result] = {}
        self._bytes = 0

    async def answer(
        self,
        who: Callable[[], Principal],
        key_of: Callable[[Principal], GroupKey],
        execute: Callable[[], Awaitable[Result]],
    ) -> Result:
        """The answer to what has this key: one that is kept, or what `execute` returns.

        `who` says who asks, at any moment: on a websocket another token may take the place of the first meanwhile.
        """
        try:
            position = await self._current()
        except StoreError:
            return await execute()  # it says what is wrong
        if position != self._position:
            self._forget()
            self._position = position
        principal = who()
        key = key_of(principal)
        kept = self._answers.get(key)
        if kept is not None:
            return kept
        result = await execute()
        # It may hold what was committed since, which is newer than needed; but of an older position it is not. And with
        # another token it may show what others with the rights of the first must not see.
        if not result.errors and position == self._position and who() is principal:
            self._keep(key, result)
        return result

    def _keep(self, key: GroupKey, result: Result) -> None:
        size = len(result.payload) + len(key.variables) + len(key.document)
        if self._bytes + size > KEPT_BYTES or len(self._answers) >= KEPT_ANSWERS:
            self._forget()
        if size <= KEPT_BYTES and key not in self._answers:
            # The text alone: what was asked has a syntax tree, which is a hundred times as large.
            self._answers[replace(key, document=str(key.document))] = result
            self._bytes += size

    def _forget(self) -> None:
        self._answers.clear()
        self._bytes = 0
