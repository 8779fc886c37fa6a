"""Which aliases a pattern opens."""

from __future__ import annotations

import itertools

import pytest

from modelwire.store import AliasPatterns


def by_definition(pattern: str, alias: str) -> bool:
    """`*` stands for any text."""
    if pattern == "":
        return alias == ""
    if pattern[0] == "*":
        return any(by_definition(pattern[1:], alias[start:]) for start in range(len(alias) + 1))
    return alias[:1] == pattern[0] and by_definition(pattern[1:], alias[1:])


def test_a_pattern_matches_what_its_definition_says() -> None:
    words = ["".join(letters) for length in range(6) for letters in itertools.product("ab", repeat=length)]
    patterns = ["".join(letters) for length in range(1, 6) for letters in itertools.product("ab*", repeat=length)]
    for pattern in patterns:
        patterned = AliasPatterns((pattern,))
        assert [word for word in words if patterned.allows(word)] == [
            word for word in words if by_definition(pattern, word)
        ], pattern


@pytest.mark.parametrize(
    ("pattern", "alias", "allowed"),
    [
        ("a.b", "axb", False),
        ("team/*", "team/", True),
        ("team/*", "team", False),
        ("*", "two\nlines", True),
        ("a*", "A1", False),
        ("[ab]*", "a", False),
    ],
)
def test_nothing_but_the_star_is_special(pattern: str, alias: str, allowed: bool) -> None:
    assert AliasPatterns((pattern,)).allows(alias) is allowed


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    # With backtracking this would take longer than the age of the universe.
    assert AliasPatterns(("*a" * 49 + "*b",)).allows("a" * 99 + "c") is False
    assert AliasPatterns(("*a" * 49 + "*b",)).allows("a" * 99 + "b") is True
