"""Documents: parsed, validated, within the limits, and remembered."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    SourceLocation,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from ...resolvers.errors import LimitExceeded
from .cost import OperationCosts
from .limits import Limits
from .sharing import Shareable

REMEMBERED_CHARACTERS = 256 * 1024
"""How long those that are remembered may be in all: a syntax tree takes some hundred bytes for each character."""
REMEMBERED_LENGTH = 16 * 1024
"""Longer documents are parsed each time, so that one does not take the place of many."""

REPORTED_ERRORS = 10
"""Each may hold the whole of an argument: to write a hundred of them takes a second."""


class DocumentRefused(Exception):
    """The document is not executed: syntax, validation, a limit, or no such operation."""

    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        super().__init__("the document is refused")
        self.errors = errors


class Document(str):
    """The text of a valid document, with its syntax tree.

    It is a string, because a string is what `strawberry.Schema.execute` takes. `largest_cost` is what the dearest of
    its operations costs with the worst of variables, `shareable` what is known of how they can be shared, by name.
    """

    __slots__ = ("largest_cost", "shareable", "tree")
    tree: DocumentNode
    largest_cost: int
    shareable: dict[str | None, Shareable | None]

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute. Raises DocumentRefused when the name fits none, or is needed."""
        operations = _operations(self.tree)
        if name is None and len(operations) == 1:
            return operations[0]
        for node in operations:
            if name is not None and node.name is not None and node.name.value == name:
                return node
        message = "This document has several operations: operationName must say which."
        if name is not None:
            message = f"Unknown operation named '{name}'."
        elif not operations:
            message = "This document has no operation."
        raise DocumentRefused([GraphQLError(message)])


class ParseDocument(Protocol):
    def __call__(self, query: str, /) -> Document: ...


class _Remembered:
    """Parses, and remembers the documents that were asked for last."""

    def __init__(self, parse_document: ParseDocument) -> None:
        self._parse = parse_document
        self._documents: dict[str, Document] = {}
        self._characters = 0

    def __call__(self, query: str, /) -> Document:
        """The document. Raises DocumentRefused, and then remembers nothing."""
        document = self._documents.pop(query, None)
        if document is None:
            document = self._parse(query)
            if len(query) > REMEMBERED_LENGTH:
                return document
            self._characters += len(query)
        self._documents[query] = document
        while self._characters > REMEMBERED_CHARACTERS:
            # The one that nobody has asked for for the longest time.
            oldest = next(iter(self._documents))
            del self._documents[oldest]
            self._characters -= len(oldest)
        return document


def document_parser(schema: GraphQLSchema, limits: Limits) -> ParseDocument:
    """Make the function that turns query texts into documents; it remembers the valid ones. Raises DocumentRefused.

    What an operation costs depends on its variables too: `check_cost` compares it with the limit.
    """
    # Without Strawberry's rule for `Maybe`, whose messages speak of Python's types: what it refuses is refused anyway,
    # as a member of a @oneOf.
    rules = (
        *specified_rules,
        OneOfInputValidationRule,
        *(() if limits.introspection else (NoSchemaIntrospectionCustomRule,)),
    )

    def parse_document(query: str, /) -> Document:
        document = Document(query)
        document.tree = _parse(query, limits.tokens)
        document.shareable = {}
        if errors := validate(schema, document.tree, rules, max_errors=REPORTED_ERRORS):
            raise DocumentRefused([_limit_error(_TOO_COMPLEX) if _is_abort(error) else error for error in errors])
        _check_limits(document.tree, limits)
        costs = OperationCosts(schema, document.tree, variables=None)
        document.largest_cost = max(map(costs.of, _operations(document.tree)), default=0)
        return document

    return _Remembered(parse_document)


def check_cost(
    schema: GraphQLSchema,
    document: Document,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    limits: Limits,
) -> None:
    """Raises DocumentRefused when this operation of the document costs too much with these variables."""
    if document.largest_cost <= limits.cost:
        return
    cost = OperationCosts(schema, document.tree, variables).of(operation)
    if cost > limits.cost:
        message = f"The operation costs {cost}; {limits.cost} is allowed. Ask for fewer fields, or for smaller pages."
        raise DocumentRefused([_limit_error(message)])


_NEWLINE = re.compile(r"\r\n|[\n\r]")


class _Source(Source):
    """The text of a document, which knows its lines: graphql-core reads all of it again for the place of each error,
    and an answer may have thousands.
    """

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(match.end() for match in _NEWLINE.finditer(self.body))]

    def get_location(self, position: int) -> SourceLocation:
        line = bisect_right(self._lines, position)
        return SourceLocation(line, position + 1 - self._lines[line - 1])


def _parse(query: str, max_tokens: int) -> DocumentNode:
    try:
        return parse(_Source(query), max_tokens=max_tokens)
    except GraphQLSyntaxError as error:
        # graphql-core ends the parsing with this sentence when the document is too large (tokens, comments, nesting).
        if error.message.endswith("Parsing aborted."):
            raise DocumentRefused([_limit_error(error.message.removeprefix("Syntax Error: "))]) from None
        raise DocumentRefused([error]) from None


_TOO_COMPLEX = "The document is too complex to be validated."


def _is_abort(error: GraphQLError) -> bool:
    """Whether graphql-core gave up: validation has a budget, and a depth through fragments."""
    return error.message == "Validation aborted."


def _limit_error(message: str) -> GraphQLError:
    return GraphQLError(message, original_error=LimitExceeded(message))


def _operations(tree: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in tree.definitions if isinstance(node, OperationDefinitionNode)]


def _check_limits(tree: DocumentNode, limits: Limits) -> None:
    measure = _Measure(tree)
    for node in _operations(tree):
        depth, aliases = measure.selections(node.selection_set)
        if depth > limits.depth:
            raise DocumentRefused([_limit_error(f"The operation nests {depth} fields; {limits.depth} are allowed.")])
        if aliases > limits.aliases:
            raise DocumentRefused([_limit_error(f"The operation has {aliases} aliases; {limits.aliases} are allowed.")])


class _Measure:
    """Depth and number of aliases of selection sets in a valid document.

    Each fragment is measured once, whatever the number of its spreads: fragments that spread each other twice would
    otherwise take exponential time. The document must be valid, because a cycle of fragments would never end.
    """

    def __init__(self, tree: DocumentNode) -> None:
        definitions = (node for node in tree.definitions if isinstance(node, FragmentDefinitionNode))
        self._fragments = {node.name.value: node for node in definitions}
        self._measured: dict[str, tuple[int, int]] = {}

    def selections(self, selection_set: SelectionSetNode | None) -> tuple[int, int]:
        depth = aliases = 0
        for node in selection_set.selections if selection_set is not None else ():
            below = 0
            if isinstance(node, FieldNode):
                inner_depth, inner_aliases = self.selections(node.selection_set)
                below = 0 if node.name.value.startswith("__") else inner_depth + 1
                inner_aliases += node.alias is not None
            elif isinstance(node, FragmentSpreadNode):
                below, inner_aliases = self._fragment(node.name.value)
            else:
                below, inner_aliases = self.selections(node.selection_set)  # type: ignore[attr-defined]
            depth, aliases = max(depth, below), aliases + inner_aliases
        return depth, aliases

    def _fragment(self, name: str) -> tuple[int, int]:
        if name not in self._measured:
            self._measured[name] = self.selections(self._fragments[name].selection_set)
        return self._measured[name]
