"""Reads a YAML or JSON text into plain JSON values, or says where it is wrong. Safe on hostile text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import yaml

from ...store import Json
from ..errors import InvalidInput

MAX_BYTES: Final = 1024 * 1024
MAX_VALUES: Final = 100_000
"""Keys and values of the document. PyYAML takes 20 µs for each."""
MAX_DEPTH: Final = 32
"""Levels of nesting."""
MAX_EXPANDED: Final = 4 * MAX_BYTES
"""Characters and values of the document when every alias (`*name`) is replaced by what it stands for."""
MAX_NUMBER_LENGTH: Final = 100
"""Characters of a number. Python's time to read one grows faster than its length."""

_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
_PATH: Final = ("input", "content")
_CORE: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(_CORE + name for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge"))
_READ_SCALARS: Final = frozenset(_CORE + name for name in ("int", "float", "bool", "null"))
# `api_version: 2023-05-15` and `separator: =` mean text to everybody but YAML 1.1.
_TEXT_AFTER_ALL: Final = frozenset({_CORE + "timestamp", _CORE + "value"})


def malformed(message: str) -> InvalidInput:
    """The error for a file that cannot be imported at all."""
    return InvalidInput(message, _PATH)


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a whole file, and where in the text its parts stand."""

    value: Json = field(repr=False)
    _node: yaml.Node | None = field(repr=False)

    def line(self, *path: str | int) -> int:
        """The line, from 1, of what these keys and indices lead to; of the last one that is there."""
        node = self._node
        mark = None if node is None else node.start_mark
        for step in path:
            # Of a key that is there twice, by a merge (`<<`), the last is the one that counts.
            found = next((pair for key, pair in reversed(_steps(node)) if key == step), None)
            if found is None:
                break
            place, node = found
            mark = place.start_mark
        return 1 if mark is None else int(mark.line) + 1


def _steps(node: yaml.Node | None) -> list[tuple[str | int, tuple[yaml.Node, yaml.Node]]]:
    if isinstance(node, yaml.MappingNode):
        return [(key.value, (key, value)) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(index, (value, value)) for index, value in enumerate(node.value)]
    return []


def read_document(content: str) -> Document:
    """Read a text that holds one YAML document; JSON is YAML too.

    Its value has nothing but JSON's types, finite floats, integers of 64 bits and text that UTF-8 can write. Takes
    seconds of CPU for the largest texts, so call it outside of the event loop. Raises InvalidInput, with the line
    where it is known and without any of the file's values.
    """
    if len(content) > MAX_BYTES or len(content.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise malformed(f"the file is larger than {MAX_BYTES // 1024} KiB: import it in parts")
    try:
        loader = _Loader(content)
        try:
            node = loader.get_single_node()
            if node is None:
                return Document(None, None)
            _Check().value(node)
            return Document(loader.construct_document(node), node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise malformed(f"{_place(error)}{_text(error)}") from None
    except yaml.reader.ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        raise malformed(f"line {line}: a character that YAML does not allow (U+{error.character:04X})") from None


def read_scalar(text: str) -> Json:
    """What YAML reads a text as that stands there without quotes: a number, a truth value, None, else the text.

    Raises ValueError for a number that JSON cannot carry.
    """
    loader = _Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag not in _READ_SCALARS:
        return text
    try:
        return loader.construct_document(yaml.ScalarNode(tag, text))
    except _Wrong as error:
        raise ValueError(str(error.problem)) from None
    finally:
        loader.dispose()


class _Wrong(yaml.MarkedYAMLError):
    """What is wrong in our eyes, at a node."""

    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _text(error: yaml.MarkedYAMLError) -> str:
    problem = ", ".join(part for part in (error.context, error.problem) if part) or "not valid YAML"
    if isinstance(error, _Wrong):
        return problem
    # PyYAML quotes what it stumbled over, and that can be a key: `api_key: *sk-…`. Single characters and its own
    # token names (`<block end>`) may stay.
    return re.sub(r"'[^']*'|\"[^\"]*\"", _short, problem)


def _short(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[0]) < 7 or quoted[0][1] == "<" else "'…'"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader for JSON's types only, with bounded depth (its composer is recursive)."""

    def __init__(self, content: str) -> None:
        super().__init__(content)
        self._values = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._values += 1
        self._depth += 1
        if parent is not None and self._values > MAX_VALUES:
            raise _Wrong(f"the file has more than {MAX_VALUES} keys and values: import it in parts", parent)
        # The document itself is level 0.
        if parent is not None and self._depth > MAX_DEPTH + 1:
            raise _Wrong(_TOO_DEEP, parent)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TEXT_AFTER_ALL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _number(construct: Callable[[Any, Any], Any]) -> Callable[[_Loader, yaml.ScalarNode], Any]:
    def constructor(loader: _Loader, node: yaml.ScalarNode) -> Any:
        if len(node.value) > MAX_NUMBER_LENGTH:
            raise _Wrong(f"a number of more than {MAX_NUMBER_LENGTH} characters: put it in quotes if it is text", node)
        try:
            value = construct(loader, node)
        except (ValueError, LookupError, OverflowError, TypeError):
            raise _Wrong("not a value of its type", node) from None
        if (isinstance(value, int) and not -(2**63) <= value < 2**63) or not math.isfinite(value):
            raise _Wrong("not a number that JSON can carry: put it in quotes if it is text", node)
        return value

    return constructor


for _name, _construct in (
    ("int", yaml.SafeLoader.construct_yaml_int),
    ("float", yaml.SafeLoader.construct_yaml_float),
    ("bool", yaml.SafeLoader.construct_yaml_bool),
):
    _Loader.add_constructor(_CORE + _name, _number(_construct))


class _Extent(NamedTuple):
    """Of a node with all aliases replaced: characters and values, and levels below it."""

    size: int
    depth: int


class _Check:
    """Walks the composed nodes, before anything is built of them."""

    def __init__(self) -> None:
        # By the identity of a node: what aliases stand for is one object, walked once and counted each time. None
        # while the walk is inside of it.
        self._extents: dict[int, _Extent | None] = {}

    def value(self, node: yaml.Node) -> _Extent:
        """The extent of a node. Raises _Wrong where it, or anything in it, is not allowed."""
        if id(node) not in self._extents:
            self._extents[id(node)] = None
            self._extents[id(node)] = self._walk(node)
        extent = self._extents[id(node)]
        if extent is None:
            raise _Wrong("an alias (`*name`) inside of what it stands for", node)
        return extent

    def _walk(self, node: yaml.Node) -> _Extent:
        if node.tag not in _TAGS:
            raise _Wrong("a YAML type (`!…`) that is not one of JSON's", node)
        size, depth = 1, 0
        if isinstance(node, yaml.ScalarNode):
            _check_text(node)
            size += len(node.value)
        elif isinstance(node, yaml.MappingNode):
            size += _check_keys(node)
        for child in _children(node):
            extent = self.value(child)
            size, depth = size + extent.size, max(depth, extent.depth + 1)
        if size > MAX_EXPANDED:
            raise _Wrong("the aliases (`*name`) make the document too large", node)
        if depth > MAX_DEPTH:
            raise _Wrong(_TOO_DEEP, node)
        return _Extent(size, depth)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        yield from (value for _, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_keys(node: yaml.MappingNode) -> int:
    """The characters of a mapping's keys."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in {_CORE + "str", _CORE + "merge"}:
            raise _Wrong("a key that is not text: put it in quotes", key)
        _check_text(key)
        if key.value in lines:
            raise _Wrong(f"the key {key.value[:100]!r} is there twice, first in line {lines[key.value]}", key)
        lines[key.value] = key.start_mark.line + 1
    return sum(map(len, lines))


def _check_text(node: yaml.ScalarNode) -> None:
    # YAML's escapes can write what neither UTF-8 nor a database takes: half of a surrogate pair, and NUL.
    if "\0" in node.value or any("\ud800" <= character <= "\udfff" for character in node.value):
        raise _Wrong("an escape that stands for no character of its own: write the character itself", node)
