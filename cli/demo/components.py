"""The demo's components: what each of them said, and what that proves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .endpoint import answering_model
from .processes import DemoError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One completion that went well: the model that the endpoint was asked for, and the version that asked for it."""

    model: str
    version: int


@dataclass(slots=True, kw_only=True)
class Component:
    """One component process and its history. `applied` holds the time of each version's swap, epoch seconds."""

    name: str
    alias: str
    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    applied: dict[int, float] = field(default_factory=dict)

    @property
    def current(self) -> Answer | None:
        """The last answer."""
        return self.answers[-1] if self.answers else None

    def answered_with(self, version: int, times: int = 1) -> bool:
        """Whether it made so many completions with a version."""
        return sum(answer.version == version for answer in self.answers) >= times


class Observer(Protocol):
    """Who is told of all that the components do."""

    def answered(self, component: Component, answer: Answer, before: Answer | None) -> None: ...

    def applied(self, component: Component, version: int, at: float) -> None: ...

    def failed(self, component: Component, error: str) -> None: ...


class Fleet:
    """All components, and what they did."""

    def __init__(self, components: tuple[Component, ...], observer: Observer) -> None:
        self.components = components
        self._observer = observer
        self._news = asyncio.Event()

    @property
    def calls(self) -> int:
        return sum(len(component.answers) for component in self.components) + self.failed

    @property
    def failed(self) -> int:
        return sum(len(component.failures) for component in self.components)

    def require_no_failure(self) -> None:
        """Raise DemoError when a call failed."""
        for component in self.components:
            if component.failures:
                raise DemoError(f"a call of {component.name} failed: {component.failures[0]}")

    def of(self, alias: str) -> list[Component]:
        return [component for component in self.components if component.alias == alias]

    def hear(self, component: Component, line: str) -> None:
        """Take one line of a component's output. Lines that are no JSON are for people and not meant for us."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        match event:
            case {"event": "applied", "version": int(version), "at": float(at)}:
                if component.applied.setdefault(version, at) == at:
                    self._observer.applied(component, version, at)
            case {"event": "failed", "error": error}:
                component.failures.append(str(error))
                self._observer.failed(component, str(error))
            case {"event": "answer", "version": int(version), "reply": str(reply)}:
                before = component.current
                answer = Answer(model=answering_model(reply), version=version)
                component.answers.append(answer)
                self._observer.answered(component, answer, before)
        self._news.set()

    async def until(self, what: str, condition: Callable[[], bool], *, within_seconds: float) -> None:
        """Wait until the components have done something. Raises DemoError saying what did not, or which call failed."""
        deadline = time.monotonic() + within_seconds
        while not condition():
            self.require_no_failure()
            self._news.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._news.wait()
            except TimeoutError:
                said = "; ".join(f"{component.name}: {_state(component)}" for component in self.components)
                raise DemoError(f"{what} did not happen within {within_seconds:.0f} s ({said})") from None


def _state(component: Component) -> str:
    if component.current is None:
        return "no answer yet"
    return f"answers with {component.current.model} at version {component.current.version}"
