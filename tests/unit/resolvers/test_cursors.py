from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwire.resolvers.cursors import decode_cursor, encode_cursor
from modelwire.resolvers.errors import BadUserInput


def cursor(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_a_cursor_gives_back_its_place(number: int, text: str) -> None:
    made = encode_cursor("list", (number, text))
    assert decode_cursor("list", made, (int, str)) == (number, text)
    assert decode_cursor("list", cursor(["list", number, text]), (int, str)) == (number, text)
    with pytest.raises(BadUserInput):
        decode_cursor("other", made, (int, str))


@pytest.mark.parametrize(
    "refused",
    [
        "",
        "?",
        "////",
        "é",
        "\ud800",
        cursor(None),
        cursor("list"),
        cursor({"list": 1}),
        cursor([]),
        cursor(["list"]),
        cursor(["list", 1]),
        cursor(["list", 1, "a", "b"]),
        cursor(["list", "1", "a"]),
        cursor(["list", 1, 2]),
        cursor(["list", True, "a"]),
        cursor(["list", 1.0, "a"]),
        cursor(["list", None, "a"]),
        cursor(["list", 2**63, "a"]),
        cursor(["list", -(2**63) - 1, "a"]),
        cursor(["list", 1, "a\0"]),
        cursor(["list", 1, "\ud800"]),
        cursor([["list"], 1, "a"]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b'["list", ' + b"1" * 10_000 + b', "a"]').decode(),
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(refused: str) -> None:
    with pytest.raises(BadUserInput, match=r"^after must be a cursor"):
        decode_cursor("list", refused, (int, str))


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput):
        decode_cursor("list", text, (str,))
