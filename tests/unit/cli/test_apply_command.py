"""The plan as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire.cli.apply_command import describe_plan


def change(path: str, before: Any, after: Any, *, secret: bool = False) -> dict[str, Any]:
    return {"path": path.split("."), "before": before, "after": after, "secret": secret}


def entry(action: str, alias: str = "m", **given: Any) -> dict[str, Any]:
    return {"alias": alias, "action": action, "reason": None, "ignored": [], "changes": [], **given}


def plan(*entries: dict[str, Any], sections: list[str] | None = None) -> list[str]:
    return list(describe_plan({"entries": entries, "ignoredSections": sections or [], "baseRevision": "s-1"}))


def test_each_action_has_its_sign_and_its_count() -> None:
    entries = [entry(action, action.lower()) for action in ("CREATE", "UPDATE", "DELETE", "SKIP", "UNCHANGED")]

    assert plan(*entries) == [
        "+ create",
        "~ update",
        "- delete",
        "! skip",
        "1 to create, 1 to change, 1 to delete, 1 unchanged, 1 skipped",
    ]
    assert plan() == ["0 to create, 0 to change, 0 to delete, 0 unchanged"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (change("params.temperature", 0.1, 0.2), "params.temperature: 0.1 → 0.2"),
        (change("params.stop", None, ["ä"]), 'params.stop: null → ["ä"]'),
        (change("auth.apiKey", None, None, secret=True), "auth.apiKey: (secret) changes"),
        (change("auth.apiKey", "os.environ/X", None, secret=True), 'auth.apiKey: "os.environ/X" → (secret)'),
        (change("auth.apiKey", None, "os.environ/X", secret=True), 'auth.apiKey: (secret) → "os.environ/X"'),
    ],
)
def test_a_change_shows_both_sides_and_no_secret(given: dict[str, Any], line: str) -> None:
    assert plan(entry("UPDATE", changes=[given]))[1] == f"    {line}"


def test_a_new_config_shows_what_it_has() -> None:
    changes = [
        change("alias", None, "m"),
        change("model", None, "gpt-4o"),
        change("auth.apiKey", None, None, secret=True),
    ]
    assert plan(entry("CREATE", changes=changes))[:-1] == ["+ m", '    model: "gpt-4o"', "    auth.apiKey: (secret)"]


def test_reasons_and_what_is_left_out_are_shown() -> None:
    lines = plan(
        entry("UNCHANGED", reason="kept"), entry("CREATE", ignored=["tpm", "rpm"]), sections=["router_settings"]
    )
    assert lines[:-1] == [
        "  m  (kept)",
        "+ m",
        "    not taken: tpm, rpm",
        "Sections that Modelwire does not use: router_settings",
    ]


def test_nothing_in_a_plan_steers_the_terminal() -> None:
    evil = "\x1b[2J\n"
    lines = plan(
        entry("UPDATE", evil, reason=evil, ignored=[evil], changes=[change(evil, evil, evil)]), sections=[evil]
    )
    assert all(line.isprintable() for line in lines)


def test_a_long_value_is_cut() -> None:
    line = plan(entry("UPDATE", changes=[change("description", None, "x" * 10_000)]))[1]

    assert len(line) < 300
    assert line.endswith("…")
