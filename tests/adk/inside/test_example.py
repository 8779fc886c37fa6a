"""The agent that component authors copy."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from modelwire.subscriber.testing import FakeControlPlane

from .conftest import Endpoint

PROGRAM = Path(__file__).parents[3] / "examples" / "adk_agent.py"


async def test_it_answers_with_its_tool(
    plane: FakeControlPlane, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELWIRE_URL", plane.url)
    monkeypatch.setenv("MODELWIRE_TOKEN", "any")
    run = runpy.run_path(str(PROGRAM))["run"]
    await run("general", ["Which orders are late?", "And now?"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("first: I am first and heard")
    assert "4711" in first
    assert second.startswith("first: I am first")
    assert [body["tools"][0]["function"]["name"] for _, body in endpoint.asked] == ["late_orders"] * 3


def test_without_a_question_it_says_how_it_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["adk_agent.py"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROGRAM), run_name="__main__")
    assert ended.value.code == 2
    assert "ALIAS QUESTION" in capsys.readouterr().err
