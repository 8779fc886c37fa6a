"""What `modelwire api-key` takes for a moment, and how it tells of a key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelwire.cli.api_key_command import describe_key, moment
from modelwire.cli.errors import CommandError, ExitCode

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("30m", "2026-01-31T12:30:00+00:00"),
        ("12h", "2026-02-01T00:00:00+00:00"),
        ("90d", "2026-05-01T12:00:00+00:00"),
        ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00+00:00"),
        ("2030-01-01T00:00:00+05:30", "2030-01-01T00:00:00+05:30"),
    ],
)
def test_moments(text: str, at: str) -> None:
    assert moment(text, now=NOW).isoformat() == at


@pytest.mark.parametrize("text", ["", "0d", "-1d", "1y", "90", "9999999d", "2030-01-01", "2030-01-01T00:00:00"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(CommandError, match="write 30m, 12h, 90d") as refused:
        moment(text, now=NOW)
    assert refused.value.exit_code == ExitCode.USAGE


def test_a_key_is_told_of_in_one_line() -> None:
    key: dict[str, Any] = {
        "id": "k3j9x2q8ab",
        "name": "orders\x1b[2J\n",
        "scopes": ["a", "b"],
        "aliases": None,
        "createdAt": "C",
        "createdBy": "system",
        "expiresAt": None,
        "lastUsedAt": None,
        "revokedAt": None,
    }
    assert describe_key(key) == (
        "k3j9x2q8ab  orders\ufffd[2J\ufffd  a, b  all aliases  made C by system  never expires  not used yet"
    )
    ended = key | {"name": "x", "aliases": ["a", "b*"], "expiresAt": "E", "lastUsedAt": "L", "revokedAt": "R"}
    assert describe_key(ended) == (
        "k3j9x2q8ab  x  REVOKED R  a, b  aliases a, b*  made C by system  expires E  last used L"
    )
