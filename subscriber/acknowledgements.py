"""What the component tells the server of the versions that it was sent. No I/O; calls and the link go on without it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .protocol import Completed, Event, Failed, Json, Next, codes_of, text_of

logger = logging.getLogger(__name__)

DOCUMENT = """\
mutation Acknowledge($input: AcknowledgeModelConfigInput!) {
  acknowledgeModelConfig(input: $input) { __typename }
}
"""

MAX_ON_THE_WAY = 5
"""How many are sent before the first is answered: the server counts them as operations of the socket."""

MAX_MESSAGE = 1_000

_TRY_AGAIN = frozenset({"UNAVAILABLE", "LIMIT_EXCEEDED", "INTERNAL"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a version. `reason` is the class of the refusal and `message` its text; None: it is applied.

    `at` is when, by the monotonic clock.
    """

    config_id: str
    version: int
    reason: str | None = None
    message: str | None = None
    at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def key(self) -> tuple[str, bool]:
        """What a newer one takes the place of: one that is refused does not displace one that is in use."""
        return self.config_id, self.reason is None


class Acknowledgements:
    """The verdicts of one socket's life after the other, until the server has them.

    Of each config the last one that was applied, and the last one that was refused.

    `delays` makes the waiting times while the server cannot take them. Used in the link's thread alone.
    """

    def __init__(self, instance_id: str, delays: Callable[[], Iterator[float]]) -> None:
        self._instance_id = instance_id
        self._make_delays = delays
        self._delays = delays()
        self._waiting: dict[tuple[str, bool], Verdict] = {}
        self._sent: dict[str, Verdict] = {}
        self._not_before = 0.0
        self._complained = False

    def say(self, verdict: Verdict) -> None:
        """Have the server told, soon."""
        self._waiting[verdict.key] = verdict

    def begin(self) -> None:
        """A new socket is open: what was not answered on the old one is sent again."""
        self._waiting = {verdict.key: verdict for verdict in self._sent.values()} | self._waiting
        self._sent = {}
        self._not_before = 0.0

    @property
    def due(self) -> float:
        """When the next one may be sent, by the clock that `take` is given; infinity: after something happens."""
        return self._not_before if self._waiting and len(self._sent) < MAX_ON_THE_WAY else math.inf

    def take(self, now: float) -> Verdict | None:
        """The next one to be sent; None when there is none, or not yet."""
        return self._waiting.pop(next(iter(self._waiting))) if self.due <= now else None

    def sent(self, id_: str, verdict: Verdict) -> None:
        """It is on its way, as an operation with this id."""
        self._sent[id_] = verdict

    def request(self, verdict: Verdict) -> Mapping[str, Json]:
        """The operation that tells it."""
        given = {
            "instanceId": self._instance_id,
            "id": verdict.config_id,
            "version": verdict.version,
            "outcome": "APPLIED" if verdict.reason is None else "REFUSED",
            "reason": verdict.reason,
            "message": None if verdict.message is None else verdict.message[:MAX_MESSAGE],
            "secondsAgo": time.monotonic() - verdict.at,
        }
        return {"query": DOCUMENT, "variables": {"input": given}}

    def receive(self, event: Event | None, now: float) -> bool:
        """Take the server's answer. False: the event is about something else."""
        match event:
            case Next(id_, _, errors) if id_ in self._sent:
                if errors:
                    self._failed(self._sent[id_], errors, now)
                else:
                    self._delays, self._complained = self._make_delays(), False
            case Completed(id_) if id_ in self._sent:
                del self._sent[id_]
            case Failed(id_, errors) if id_ in self._sent:
                self._failed(self._sent.pop(id_), errors, now)
            case _:
                return False
        return True

    def _failed(self, verdict: Verdict, errors: tuple[Mapping[str, Json], ...], now: float) -> None:
        again = bool(codes_of(errors) & _TRY_AGAIN)
        if again:
            if not self._is_outdated(verdict):
                self._waiting[verdict.key] = verdict
            self._not_before = now + next(self._delays)
        if not self._complained:
            self._complained = True
            logger.warning(
                "operators do not see which versions this component runs%s: %s; the models are not affected. The API "
                "key needs the scope component:report",
                " yet" if again else "",
                text_of(errors),
            )

    def _is_outdated(self, verdict: Verdict) -> bool:
        """Whether something newer is to be said of it, or is on its way."""
        others = (*self._waiting.values(), *self._sent.values())
        return any(other.key == verdict.key and other.at > verdict.at for other in others)
