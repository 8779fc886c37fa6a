from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.cli.demo.components import Answer, Component, Fleet
from modelwire.cli.demo.processes import DemoError


@pytest.fixture
def component() -> Component:
    return Component(name="orders-agent", alias="general")


@pytest.fixture
def changes() -> list[Answer | None]:
    return []


@pytest.fixture
def fleet(component: Component, changes: list[Answer | None]) -> Fleet:
    return Fleet((component,), lambda _component, before: changes.append(before))


def answer(model: str, version: int) -> str:
    return line("answer", version=version, model=f"openai/{model}", reply=f"This is {model}.")


def line(event: str, **facts: Any) -> str:
    return json.dumps({"event": event, "alias": "general", "at": 1.5, **facts})


def test_only_another_model_or_version_is_a_change(
    fleet: Fleet, component: Component, changes: list[Answer | None]
) -> None:
    for model, version in (("a", 2), ("a", 2), ("b", 3), ("b", 4)):
        fleet.hear(component, answer(model, version))
    assert changes == [None, Answer(model="a", version=2), Answer(model="b", version=3)]
    assert component.current == Answer(model="b", version=4)
    assert fleet.calls == 4


def test_the_first_swap_to_a_version_counts(fleet: Fleet, component: Component) -> None:
    fleet.hear(component, line("applied", version=2))
    fleet.hear(component, line("applied", version=2, at=9.0))
    fleet.hear(component, line("applied", version=None))
    assert component.applied == {2: 1.5}


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
