from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.cli.demo.components import Answer, Component, Fleet
from modelwire.cli.demo.processes import DemoError


@pytest.fixture
def component() -> Component:
    return Component(name="orders-agent", alias="general")


class Recorder:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def answered(self, component: Component, answer: Answer, before: Answer | None) -> None:
        self.told.append(("answered", answer, before))

    def applied(self, component: Component, version: int, at: float) -> None:
        self.told.append(("applied", version, at))

    def failed(self, component: Component, error: str) -> None:
        self.told.append(("failed", error))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def fleet(component: Component, recorder: Recorder) -> Fleet:
    return Fleet((component,), recorder)


def answer(model: str, version: int) -> str:
    return line("answer", version=version, model=f"openai/{model}", reply=f"This is {model}.")


def line(event: str, **facts: Any) -> str:
    return json.dumps({"event": event, "alias": "general", "at": 1.5, **facts})


def test_each_answer_is_told_with_the_one_before(fleet: Fleet, component: Component, recorder: Recorder) -> None:
    first, second = Answer(model="a", version=2), Answer(model="b", version=3)
    fleet.hear(component, answer("a", 2))
    fleet.hear(component, answer("b", 3))
    assert recorder.told == [("answered", first, None), ("answered", second, first)]
    assert component.current == second
    assert fleet.calls == 2


def test_the_first_swap_to_a_version_counts(fleet: Fleet, component: Component, recorder: Recorder) -> None:
    fleet.hear(component, line("applied", version=2))
    fleet.hear(component, line("applied", version=2, at=9.0))
    fleet.hear(component, line("applied", version=None))
    assert component.applied == {2: 1.5}
    assert recorder.told == [("applied", 2, 1.5)]


def test_lines_for_people_are_passed_over(fleet: Fleet, component: Component) -> None:
    for text in ("", "Traceback (most recent call last):", line("status", version=None), "[]", "7"):
        fleet.hear(component, text)
    assert fleet.calls == 0


async def test_waiting_ends_when_the_condition_holds(fleet: Fleet, component: Component) -> None:
    fleet.hear(component, answer("a", 2))
    await fleet.until("an answer", lambda: component.answered_with(2), within_seconds=5)


async def test_waiting_ends_with_what_did_not_happen(fleet: Fleet, component: Component) -> None:
    fleet.hear(component, answer("a", 2))
    with pytest.raises(DemoError, match=r"an answer by b did not happen .*orders-agent: answers with a at version 2"):
        await fleet.until("an answer by b", lambda: component.answered_with(3), within_seconds=0.01)


async def test_a_failed_call_ends_the_wait_with_its_reason(fleet: Fleet, component: Component) -> None:
    fleet.hear(component, line("failed", version=2, error="Timeout: no answer"))
    assert (fleet.calls, fleet.failed) == (1, 1)
    with pytest.raises(DemoError, match="a call of orders-agent failed: Timeout: no answer"):
        await fleet.until("an answer", lambda: component.answered_with(2), within_seconds=5)
