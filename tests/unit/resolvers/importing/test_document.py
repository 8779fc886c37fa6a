"""Hostile and broken texts: each is refused with what is wrong and where, and none of its values in the message."""

from __future__ import annotations

import pytest

from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.importing import document
from modelwire.resolvers.importing.document import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_EXPANDED,
    MAX_VALUES,
    read_document,
    read_scalar,
)


def refusal(content: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_document(content)
    assert caught.value.path == ("input", "content")
    return caught.value.message


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("text", "text"),
        ('{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        ("a: 20_000", {"a": 20_000}),
        ("a: 0x10", {"a": 16}),
        ("a: yes", {"a": True}),
        ("a: '1'", {"a": "1"}),
        ("a: 1:30", {"a": 90}),
        # Dates are text, as whoever writes `api_version: 2023-05-15` means it.
        ("a: 2023-05-15", {"a": "2023-05-15"}),
        ("a: 2023-05-15T10:00:00Z", {"a": "2023-05-15T10:00:00Z"}),
        ("a: =", {"a": "="}),
        ("\ufeffa: ü😀", {"a": "ü😀"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: &x {b: 1}\nd: &y\n  <<: *x\n  c: 2\ne:\n  <<: [*y, *x]\n  b: 4", {
            "a": {"b": 1}, "d": {"b": 1, "c": 2}, "e": {"b": 4, "c": 2},
        }),
        ("a: " + str(2**63 - 1), {"a": 2**63 - 1}),
        ("a: " + str(-(2**63)), {"a": -(2**63)}),
    ],
)  # fmt: skip
def test_what_can_be_read(content: str, value: object) -> None:
    assert read_document(content).value == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1, 2", "line 1, column 9: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("a:\n\t- b", "line 2, column 1: while scanning for the next token, found character '\\t' that cannot start"),
        ("a: 1\n--- {}", "line 2, column 1: expected a single document in the stream, but found another document"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is there twice, first in line 1"),
        ('{"x": {"a": 1, "a": 2}}', "line 1, column 16: the key 'a' is there twice, first in line 1"),
        ("<<: {a: 1}\n<<: {b: 1}", "line 2, column 1: the key '<<' is there twice, first in line 1"),
        ("a:\n  1: x", "line 2, column 3: a key that is not text: put it in quotes"),
        ("on: x", "line 1, column 1: a key that is not text: put it in quotes"),
        ("null: x", "line 1, column 1: a key that is not text: put it in quotes"),
        ("? [a]\n: x", "line 1, column 3: a key that is not text: put it in quotes"),
        ("a: !!python/object/apply:os.system [x]", "line 1, column 4: a YAML type (`!…`) that is not one of JSON's"),
        ("a: !!binary aGk=", "line 1, column 4: a YAML type (`!…`) that is not one of JSON's"),
        ("a: !!set {b, c}", "line 1, column 4: a YAML type (`!…`) that is not one of JSON's"),
        ("a: !mine x", "line 1, column 4: a YAML type (`!…`) that is not one of JSON's"),
        ("a: .nan", "line 1, column 4: not a number that JSON can carry: put it in quotes if it is text"),
        ("a: -.inf", "line 1, column 4: not a number that JSON can carry: put it in quotes if it is text"),
        ("a: 1.0e+999", "line 1, column 4: not a number that JSON can carry: put it in quotes if it is text"),
        (f"a: {2**63}", "line 1, column 4: not a number that JSON can carry: put it in quotes if it is text"),
        ("a: " + "1" * 5000, "line 1, column 4: a number of more than 100 characters: put it in quotes if it is text"),
        ("a: 1" + ":1" * 90, "line 1, column 4: a number of more than 100 characters: put it in quotes if it is text"),
        ("a: !!int x", "line 1, column 4: not a value of its type"),
        ("a: !!int ''", "line 1, column 4: not a value of its type"),
        ("a: !!bool x", "line 1, column 4: not a value of its type"),
        ("a: !!map x", "line 1, column 4: expected a mapping node, but found scalar"),
        ("a: !!str [x]", "line 1, column 4: expected a scalar node, but found sequence"),
        ("<<: x", "line 1, column 5: while constructing a mapping, expected a mapping or list of mappings for merging"),
        ('a: "\\ud83d"', "line 1, column 4: an escape that stands for no character of its own: write the character"),
        ('a: "\\0"', "line 1, column 4: an escape that stands for no character of its own: write the character itself"),
        ('"\\0": a', "line 1, column 1: an escape that stands for no character of its own: write the character itself"),
        ("a: \x07", "line 1: a character that YAML does not allow (U+0007)"),
        ("a: 1\nb: \ud800", "line 2: a character that YAML does not allow (U+D800)"),
        ("a: &x [*x]", "line 1, column 4: an alias (`*name`) inside of what it stands for"),
        ("a: &x {b: {c: *x}}", "line 1, column 4: an alias (`*name`) inside of what it stands for"),
    ],
)
def test_what_is_refused_and_where(content: str, message: str) -> None:
    assert refusal(content).startswith(message)


@pytest.mark.parametrize(
    "content",
    [
        "api_key: *sk-canary",
        "api_key: !sk-canary x",
        "api_key: &sk-canary x\nb: &sk-canary y",
        "api_key: 'sk-canary",
        'api_key: "sk-canary',
        "api_key: @sk-canary",
        "api_key: sk-canary: x",
        "api_key: sk-canary\n  b: c",
        "api_key: [sk-canary, sk-canary",
        "api_key: &sk-canary [*sk-canary]",
    ],
)
def test_a_message_shows_nothing_that_could_be_a_secret(content: str) -> None:
    assert "canary" not in refusal(content)


def test_size_is_counted_in_bytes() -> None:
    assert read_document("#" + "a" * (MAX_BYTES - 1)).value is None
    assert refusal("#" + "a" * MAX_BYTES) == "the file is larger than 1024 KiB: import it in parts"
    assert refusal("#" + "ü" * (MAX_BYTES // 2)) == "the file is larger than 1024 KiB: import it in parts"


def test_depth_is_bounded() -> None:
    deepest = read_document("[" * MAX_DEPTH + "x" + "]" * MAX_DEPTH).value
    for _ in range(MAX_DEPTH):
        (deepest,) = deepest
    assert deepest == "x"
    assert "nested deeper than 32 levels" in refusal("[" * (MAX_DEPTH + 1) + "x" + "]" * (MAX_DEPTH + 1))
    assert "nested deeper than 32 levels" in refusal("[" * 500_000)
    assert "nested deeper than 32 levels" in refusal("- " * 500_000)


def test_depth_is_bounded_through_aliases_too() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, MAX_DEPTH + 5))

    assert "nested deeper than 32 levels" in refusal(chain)


def test_a_chain_of_merges_is_bounded() -> None:
    chain = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}\n" for i in range(1, 3_000))

    assert "nested deeper than 32 levels" in refusal(chain)


@pytest.mark.parametrize("link", ["[{}]", "{{<<: [{}]}}"])
def test_billion_laughs(link: str) -> None:
    bomb = "a0: &a0 {x: lol}\n" + "".join(
        f"a{i}: &a{i} {link.format(', '.join([f'*a{i - 1}'] * 10))}\n" for i in range(1, 10)
    )

    assert "the aliases (`*name`) make the document too large" in refusal(bomb)


def test_a_long_text_repeated_by_aliases() -> None:
    long = "x" * 100_000

    assert "the aliases (`*name`) make the document too large" in refusal(
        f"a: &a {long}\nb: [{', '.join(['*a'] * (MAX_EXPANDED // len(long)))}]"
    )


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_VALUES == 100_000
    monkeypatch.setattr(document, "MAX_VALUES", 100)

    assert len(read_document("[" + "x," * 99 + "]").value) == 99
    assert "more than 100 keys and values: import it in parts" in refusal("[" + "x," * 100 + "]")


def test_a_document_knows_where_its_parts_stand() -> None:
    document = read_document("# first\na:\n  b: 1\n  c:\n  - x\n  - y: {z: 2}\n")

    assert document.line("a") == 2
    assert document.line("a", "c") == 4
    assert document.line("a", "c", 1) == 6
    assert document.line("a", "c", 1, "y", "z") == 6
    # Of what is not there, the line of the last step that is.
    assert document.line("a", "c", 7) == 4
    assert document.line("nothing") == 2
    assert read_document("").line("a") == 1


def test_a_merged_key_stands_where_it_was_written_and_an_own_one_wins() -> None:
    document = read_document("x: &x\n  a: 1\n  b: 2\ny:\n  <<: *x\n  b: 3\n")

    assert document.line("y", "a") == 2
    assert document.line("y", "b") == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16000", 16000),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("5m", "5m"),
        ("2023-05-15", "2023-05-15"),
        ("a: b", "a: b"),
        ("<<", "<<"),
    ],
)
def test_what_yaml_reads_a_text_as(text: str, value: object) -> None:
    read = read_scalar(text)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", [".inf", "9" * 30, "9" * 200])
def test_a_number_that_json_cannot_carry_is_no_scalar(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        read_scalar(text)
