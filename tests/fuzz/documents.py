"""Random GraphQL requests over a schema: valid ones, ones with one thing wrong, and ones that were damaged."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fuzz.values import STRINGS, EnumValue, Knowledge, Values
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType

MAX_DEPTH = 6
MAX_FIELDS = 40
MAX_ALIASES = 20
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")
_DAMAGE = ("{", "}", "(", ")", "...", "@", "$", "!", '"', '"""', "\0", "#", "\ufeff", ":", "&", "|", "9e999", "\\u")


@dataclass(frozen=True)
class Request:
    """What is put into a request's JSON."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None

    def body(self) -> bytes:
        """As JSON. Other than orjson, it writes numbers of any size."""
        return json.dumps(self.payload()).encode()

    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = {"query": self.query}
        if self.variables is not None:
            payload["variables"] = self.variables
        if self.operation_name is not None:
            payload["operationName"] = self.operation_name
        return payload


@dataclass
class Selections:
    """One selection set as it is written: which response names are taken, and by what."""

    taken: dict[str, str] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)


class Documents:
    """Makes one request. `wrongness` is how probable it is that an argument is given a value that hardly fits."""

    def __init__(
        self, schema: GraphQLSchema, rng: random.Random, knowledge: Knowledge, *, wrongness: float = 0.0
    ) -> None:
        self._schema = schema
        self._rng = rng
        self._values = Values(rng, knowledge)
        self._wrongness = wrongness
        self._fields = self._aliases = self._names = 0
        self._variables: dict[str, Any] = {}
        self._declarations: dict[str, str] = {}
        self._fragments: dict[str, tuple[Composite, Selections]] = {}

    def request(self) -> Request:
        """One operation, of any kind, or several of which `operationName` says one."""
        rng = self._rng
        if rng.random() < 0.03:
            return self._introspection()
        root = rng.choices(
            (self._schema.query_type, self._schema.mutation_type, self._schema.subscription_type), (6, 4, 2)
        )[0]
        assert root is not None
        for _ in range(rng.choice((0, 0, 0, 1, 2, 3))):
            self._make_fragment()
        self._fields = 0
        body = self._operation(root)
        kind = {self._schema.mutation_type: "mutation", self._schema.subscription_type: "subscription"}.get(
            root, "query"
        )
        # Fragments that nothing spreads, and variables that nothing names, are errors.
        used = self._used_fragments(body)
        fragments = [
            f"fragment {name} on {type_.name} {_braced(selections)}"
            for name, (type_, selections) in self._fragments.items()
            if name in used
        ]
        named = set(re.findall(r"\$v\d+", " ".join([body, *fragments])))
        declared = [text for name, text in self._declarations.items() if name in named]
        declarations = f"({', '.join(declared)})" if declared else ""
        if rng.random() < 0.1:
            operations = [f"{kind} Chosen{declarations} {body}", "query Other { viewer { name } }"]
            return self._request([*operations, *fragments], "Chosen")
        shorthand = kind == "query" and not declarations and rng.random() < 0.5
        operation = body if shorthand else f"{kind}{rng.choice(('', ' Named'))}{declarations} {body}"
        return self._request([operation, *fragments], None)

    def _request(self, definitions: list[str], operation_name: str | None) -> Request:
        self._rng.shuffle(definitions)
        given = self._variables or self._rng.choice((None, {}, {"unused": STRINGS[4]}))
        return Request(self._rng.choice((" ", "\n", "\n\n# comment\n")).join(definitions), given, operation_name)

    def _introspection(self) -> Request:
        name = self._rng.choice(sorted(self._schema.type_map))
        fields = "{ name kind description fields(includeDeprecated: true) { name args { name defaultValue } } }"
        return Request(
            self._rng.choice((f'{{ __type(name: "{name}") {fields} }}', f"{{ __schema {{ types {fields} }} }}"))
        )

    def _operation(self, root: GraphQLObjectType) -> str:
        # A subscription has one root field, without @skip and @include.
        count = 1 if root is self._schema.subscription_type else self._rng.choice((1, 1, 2, 3))
        selections = Selections()
        for _ in range(count):
            name = self._rng.choice(sorted(root.fields))
            self._select(selections, root, name, root.fields[name], 0)
        return _braced(selections)

    def _make_fragment(self) -> None:
        composite = [
            type_
            for name, type_ in self._schema.type_map.items()
            if isinstance(type_, Composite) and not name.startswith("__") and not self._is_root(type_)
        ]
        type_ = self._rng.choice(composite)
        selections = self._selection_set(type_, 3)
        self._fragments[f"F{len(self._fragments)}"] = (type_, selections)

    def _is_root(self, type_: Composite) -> bool:
        return type_ in (self._schema.query_type, self._schema.mutation_type, self._schema.subscription_type)

    def _selection_set(self, type_: Composite, depth: int) -> Selections:
        rng = self._rng
        selections = Selections()
        for _ in range(rng.choice((1, 2, 3, 4, 6))):
            way = rng.random()
            if way < 0.08:
                selections.taken.setdefault("__typename", "__typename")
                selections.parts.append("__typename")
            elif way < 0.2 or isinstance(type_, GraphQLUnionType):
                self._inline_fragment(selections, type_, depth)
            elif way < 0.35:
                self._spread(selections, type_)
            else:
                name = rng.choice(sorted(type_.fields))
                self._select(selections, type_, name, type_.fields[name], depth)
        if not selections.parts:
            selections.parts.append("__typename")
        return selections

    def _inline_fragment(self, into: Selections, type_: Composite, depth: int) -> None:
        condition = self._rng.choice(sorted(self._within(type_), key=lambda possible: possible.name))
        inner = self._selection_set(condition, depth + 1) if depth < MAX_DEPTH else Selections(parts=["__typename"])
        if not any(into.taken.get(key, what) != what for key, what in inner.taken.items()):
            into.taken |= inner.taken
            on = "" if condition is type_ and self._rng.random() < 0.5 else f" on {condition.name}"
            into.parts.append(f"...{on}{self._directive()} {_braced(inner)}")

    def _within(self, type_: Composite) -> set[Composite]:
        """Types that a fragment inside of this one can be on."""
        if isinstance(type_, GraphQLObjectType):
            return {type_}
        possible = self._schema.get_possible_types(type_)
        return {type_, *possible, *(interface for member in possible for interface in member.interfaces)}

    def _spread(self, into: Selections, type_: Composite) -> None:
        for name, (condition, selections) in self._fragments.items():
            fits = condition in self._within(type_) or (
                isinstance(condition, GraphQLInterfaceType | GraphQLUnionType) and type_ in self._within(condition)
            )
            if fits and into.taken.keys().isdisjoint(selections.taken):
                into.taken |= selections.taken
                into.parts.append(f"...{name}{self._directive()}")
                return

    def _select(self, into: Selections, parent: Composite, name: str, found: GraphQLField, depth: int) -> None:
        rng = self._rng
        named = get_named_type(found.type)
        leaf = is_leaf_type(named)
        if self._fields >= MAX_FIELDS or (not leaf and depth >= MAX_DEPTH):
            return
        self._fields += 1
        arguments = self._arguments(found.args)
        # What two fields with one response name must agree in. Objects are never merged.
        what = f"{parent.name}.{name}{arguments}: {found.type}" if leaf else f"object {self._fields}"
        key = name
        if rng.random() < 0.1 or into.taken.get(key, what) != what:
            if self._aliases >= MAX_ALIASES:
                return
            self._aliases += 1
            key = rng.choice((f"a{self._aliases}", f"_{self._aliases}", f"id{self._aliases}"))
        into.taken[key] = what
        alias = f"{key}: " if key != name else ""
        directive = "" if parent is self._schema.subscription_type else self._directive()
        inner = ""
        if not leaf:
            assert isinstance(named, Composite)
            inner = " " + _braced(self._selection_set(named, depth + 1))
        into.parts.append(f"{alias}{name}{arguments}{directive}{inner}")

    def _directive(self) -> str:
        rng = self._rng
        if rng.random() > 0.06:
            return ""
        condition = self._variable(GraphQLNonNull(self._schema.type_map["Boolean"]), True)
        return rng.choice((f" @include(if: {condition})", " @skip(if: false)", " @include(if: true) @skip(if: false)"))

    def _arguments(self, arguments: Mapping[str, GraphQLArgument]) -> str:
        rng = self._rng
        texts = []
        for name, argument in arguments.items():
            if not is_required_argument(argument) and rng.random() < 0.5:
                continue
            if rng.random() < self._wrongness:
                value = self._values.wrong(argument.type, name)
                if rng.random() < 0.2:
                    continue
            else:
                value = self._values.right(argument.type, name)
            as_variable = rng.random() < 0.4 or not _has_literal(value)
            texts.append(f"{name}: {self._variable(argument.type, value) if as_variable else self._literal(value)}")
        if rng.random() < self._wrongness / 4:
            texts.append(f"noSuchArgument: {self._literal(1)}")
        rng.shuffle(texts)
        return f"({', '.join(texts)})" if texts else ""

    def _variable(self, type_: Any, value: Any) -> str:
        """A new variable of this type and with this value; sometimes the value is its default, and it is absent."""
        self._names += 1
        name = f"v{self._names}"
        declaration = f"${name}: {type_}"
        if value is not None and _has_literal(value) and self._rng.random() < 0.15:
            declaration += f" = {self._literal(value)}"
        else:
            self._variables[name] = value
        self._declarations[f"${name}"] = declaration
        return f"${name}"

    def _literal(self, value: Any) -> str:
        match value:
            case EnumValue():
                return str(value)
            case str():
                return self._string_literal(value)
            case dict():
                return "{" + ", ".join(f"{key}: {self._literal(item)}" for key, item in value.items()) + "}"
            case list():
                return "[" + self._rng.choice((", ", " ")).join(map(self._literal, value)) + "]"
            case _:
                return json.dumps(value)

    def _string_literal(self, value: str) -> str:
        if self._rng.random() < 0.1 and '"' not in value and "\\" not in value and value.isprintable():
            return f'"""{value}"""'
        return json.dumps(value, ensure_ascii=self._rng.random() < 0.5 and value.isascii())

    def _used_fragments(self, body: str) -> set[str]:
        used: set[str] = set()
        texts = [body]
        while texts:
            for name in re.findall(r"\.\.\.(F\d+)", texts.pop()):
                if name not in used:
                    used.add(name)
                    texts.append(_braced(self._fragments[name][1]))
        return used


def damaged(request: Request, rng: random.Random) -> Request:
    """The request with something cut, doubled, swapped or put into its text, or other variables."""
    text = request.query
    for _ in range(rng.choice((1, 1, 2, 5))):
        text = rng.choice((_cut, _double, _swap_names, _put, _rename, _nest))(text, rng)
    variables: Any = request.variables
    if rng.random() < 0.2:
        variables = {name: rng.choice((None, [], {}, 2**40, "x")) for name in request.variables or ()}
    return Request(text, variables, rng.choice((request.operation_name, None, "NoSuchOperation", "")))


def _spot(text: str, rng: random.Random) -> int:
    return rng.randrange(len(text) + 1)


def _cut(text: str, rng: random.Random) -> str:
    start = _spot(text, rng)
    return text[:start] + text[start + rng.choice((1, 2, 10, 1000)) :]


def _double(text: str, rng: random.Random) -> str:
    start, end = sorted((_spot(text, rng), _spot(text, rng)))
    return text[:end] + text[start:end] * rng.choice((1, 1, 2, 30)) + text[end:]


def _put(text: str, rng: random.Random) -> str:
    start = _spot(text, rng)
    return text[:start] + rng.choice((*_DAMAGE, *STRINGS[:16])) + text[start:]


def _swap_names(text: str, rng: random.Random) -> str:
    names = list(_NAME.finditer(text))
    if len(names) < 2:
        return text
    one, other = sorted(rng.sample(names, 2), key=lambda match: match.start())
    return text[: one.start()] + other[0] + text[one.end() : other.start()] + one[0] + text[other.end() :]


def _rename(text: str, rng: random.Random) -> str:
    names = list(_NAME.finditer(text))
    if not names:
        return text
    name = rng.choice(names)
    return (
        text[: name.start()] + rng.choice((name[0] + "s", name[0][:-1], "__typename", "on", "x")) + text[name.end() :]
    )


def _nest(text: str, rng: random.Random) -> str:
    start, count = _spot(text, rng), rng.choice((5, 50, 500))
    opening, closing = rng.choice((("{a", "}"), ("[", "]"), ("{a:", "}"), ("...{", "}"), ("(a:", ")")))
    return text[:start] + opening * count + closing * count + text[start:]


def _braced(selections: Selections) -> str:
    return "{ " + " ".join(selections.parts or ["__typename"]) + " }"


def _has_literal(value: Any) -> bool:
    """Whether the value can be written in a document: an object's keys must be names there."""
    return all(_NAME.fullmatch(key) for key in _keys(value))


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)
