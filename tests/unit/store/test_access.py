"""What a process knows of the counter of revocations, from reads that end in any order."""

from __future__ import annotations

import pytest

from modelwire.store.access import Access


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def access(heard: list[str]) -> Access:
    access = Access("a")
    access.on_change(lambda: heard.append("changed"))
    return access


def test_the_first_read_is_no_change(access: Access, heard: list[str]) -> None:
    assert access.state == ("a", -1)
    access.saw("a", 5)
    access.saw("a", 5)
    assert (access.state, heard) == (("a", 5), [])


def test_a_change_is_told_once(access: Access, heard: list[str]) -> None:
    for revision in (5, 6, 6):
        access.saw("a", revision)
    assert (access.state, heard) == (("a", 6), ["changed"])


def test_a_read_that_began_before_a_change_takes_nothing_back(access: Access, heard: list[str]) -> None:
    for revision in (5, 6, 5):
        access.saw("a", revision)
    assert (access.state, heard) == (("a", 6), ["changed"])


def test_a_restored_backup_is_a_change_whatever_it_counts(access: Access, heard: list[str]) -> None:
    access.saw("a", 5)
    access.saw("b", 2)
    # Of before the restore, and of the first store once more.
    access.saw("a", 9)
    assert (access.state, heard) == (("b", 2), ["changed"])
    access.saw("b", 3)
    assert (access.state, heard) == (("b", 3), ["changed", "changed"])


def test_a_late_read_does_not_make_the_state_younger(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    access = Access("a")
    access.saw("a", 5)
    now = 107.0
    access.saw("a", 4)
    assert access.age_seconds == 7.0
    access.saw("a", 5)
    assert access.age_seconds == 0.0
