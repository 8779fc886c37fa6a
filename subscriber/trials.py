"""Trying configurations with a real call before they are used, beside everything else that the link does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Final

from .backoff import backoff
from .errors import ConfigRefused, ProviderClosed
from .probing import ProbeOutcome, probe_model

if TYPE_CHECKING:
    from .model import LiteLlm
    from .timing import Timing

logger = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""How many calls are made beside each other: a component with a hundred aliases shall not meet a rate limit at once."""

# Ours and not the provider's, which may repeat what it was sent.
_WORDS: Final[Mapping[str, str]] = {
    "authentication": "the model's endpoint does not take the credentials",
    "not_found": "the endpoint does not know the model, or there is no such endpoint",
    "rate_limit": "the endpoint takes no more calls at the moment",
    "bad_request": "the endpoint does not take a call with these parameters and a tool",
    "timeout": "there was no whole answer in time",
    "connection": "the endpoint cannot be reached from this component",
    "unsupported": "a library that LiteLLM needs for it is not installed in this component",
    "provider": "the endpoint failed, or gave no answer that can be understood",
}


class Trials:
    """The trials of one component, in the event loop of its link."""

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def end(self) -> None:
        """End them all, when nobody starts one any more; nothing of them is left when it returns."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Have it done."""
        task = asyncio.create_task(work, name="modelwire-trial")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Trial:
    """The trial of one alias' newest configuration. Used in the event loop of the link alone."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._task: asyncio.Task[None] | None = None
        self.pending = False
        """Whether there is no verdict yet on the last one."""

    @property
    def alive(self) -> bool:
        """Whether there is no verdict yet on the last one, or a bad one, and it will be tried again."""
        return self._task is not None and not self._task.done()

    def begin(self, model: LiteLlm, done: Callable[[ConfigRefused | None], None]) -> None:
        """Make a call with this model, and tell how it went; None: well. One that fails is told, and tried again later.

        What was begun before is abandoned: its verdict is not told.
        """
        before = self._task if self.alive else None
        self.abandon()
        self.pending = True
        self._task = self._trials.start(self._run(model, done, before))

    def abandon(self) -> None:
        """Let be what was begun."""
        self.pending = False
        if self._task is not None:
            self._task.cancel()

    async def _run(
        self,
        model: LiteLlm,
        done: Callable[[ConfigRefused | None], None],
        before: asyncio.Task[None] | None,
    ) -> None:
        timing = self._trials.timing
        if before is not None:
            await asyncio.wait([before])
            # Of many updates in a row, not each is worth a call.
            await asyncio.sleep(timing.probe_pause_seconds)
        for delay in backoff(timing.probe_again_first_seconds, timing.probe_again_max_seconds):
            async with self._trials.room:
                outcome = await probe_model(model, timeout_seconds=timing.probe_seconds)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                # LiteLLM made an error of its own of it.
                raise asyncio.CancelledError
            self.pending = False
            try:
                done(_refusal(outcome))
            except ProviderClosed:
                # By a callback of the component.
                return
            except Exception:
                logger.exception("a configuration was tried and could not be applied; trying again in %.0f s", delay)
            else:
                if outcome.problem is None:
                    return
            await asyncio.sleep(delay)


def _refusal(outcome: ProbeOutcome) -> ConfigRefused | None:
    if outcome.problem is None:
        return None
    status = "" if outcome.status is None else f" (HTTP {outcome.status})"
    return ConfigRefused(
        f"probe_failed:{outcome.problem}", f"a call was tried with it: {_WORDS[outcome.problem]}{status}"
    )
