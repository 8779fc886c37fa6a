"""Executing requests: what Strawberry's schema answers, as results that are ready to be sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass
from typing import Any

import orjson
import strawberry
from graphql import FieldNode, GraphQLError, OperationType
from graphql.execution import Executor as GraphQLCoreExecutor
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionResult as StrawberryResult
from strawberry.types.execution import PreExecutionError

from ...resolvers.access import Principal
from ...resolvers.errors import RequestError
from .answers import KeptAnswers
from .documents import Document, DocumentRefused, check_cost, document_parser
from .errors import FormattedError, cause_of, format_errors
from .limits import Limits
from .request import GraphQLRequest
from .sharing import GroupKey, Rights, Shareable, Sharing, shareable

MakeContext = Callable[[Principal], Any]
"""Makes what resolvers see as `info.context`, for one operation.

Its attribute `principal` is set anew when the client renews its token while the operation runs.
"""

OnRefusal = Callable[[Any, str | None, RequestError], None]
"""Takes the context of an operation, the name in the schema of the field that was refused (None: the whole operation),
and why.
"""


@dataclass(frozen=True, slots=True)
class Operation:
    """A request whose document is valid: what to execute, and of which type it is.

    `shareable` None: whoever asks for it has it executed alone.
    """

    request: GraphQLRequest
    document: Document
    name: str | None
    type: OperationType
    shareable: Shareable | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One answer to an operation.

    `payload` is the whole GraphQL response as JSON. `executed` is False for a request error: the payload has no
    `data`, and no other result follows.
    """

    payload: bytes
    errors: list[FormattedError]
    executed: bool = True

    @classmethod
    def refused(cls, errors: list[FormattedError]) -> Result:
        return cls(orjson.dumps({"errors": errors}), errors, executed=False)


class Executor:
    """Executes requests on a schema, within the limits of documents.

    `on_refusal` hears of each RequestError that a resolver raised, None: nobody does. `sharing` says which operations
    can be answered together, and has answers to queries kept; None: none.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        on_refusal: OnRefusal | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._schema = _equip(schema)
        self._shared_fields = frozenset() if sharing is None else sharing.fields
        self._answers = None if sharing is None else KeptAnswers(sharing.current)
        self._on_refusal = on_refusal
        self._graphql_schema = schema._schema
        self._parse_document = document_parser(self._graphql_schema, limits)
        self._limits = limits

    def prepare(self, request: GraphQLRequest) -> Operation | Result:
        """Parse, validate and pick the operation; a Result when the request is refused."""
        try:
            document = self._parse_document(request.query)
            node = document.operation(request.operation_name)
            check_cost(self._graphql_schema, document, node, request.variables, self._limits)
        except DocumentRefused as refusal:
            return Result.refused(format_errors(refusal.errors, query=request.query, variables=request.variables))
        name = node.name.value if node.name else None
        if name not in document.shareable:
            document.shareable[name] = shareable(self._graphql_schema, document.tree, node, self._shared_fields)
        return Operation(request, document, name, node.operation, document.shareable[name])

    async def execute(self, operation: Operation, context: Any) -> Result:
        """The answer to a query or a mutation: a kept one, or it is executed."""
        if self._answers is None or operation.shareable is None or operation.request.extensions:
            return await self._execute(operation, context)
        document, name, variables = operation.document, operation.name, operation.request.variables
        return await self._answers.answer(
            lambda: context.principal,
            lambda principal: GroupKey.of(document, name, variables, Rights.of(principal)),
            lambda: self._execute(operation, context),
        )

    async def _execute(self, operation: Operation, context: Any) -> Result:
        result = await self._schema.execute(
            operation.document,
            variable_values=dict(operation.request.variables),
            context_value=context,
            operation_name=operation.name,
            operation_extensions=dict(operation.request.extensions),
        )
        self._report(result, context)
        return _result(operation, result)

    async def stream(self, operation: Operation, context: Any) -> AsyncGenerator[Result, None]:
        """Execute any operation: one result of a query or mutation, each event of a subscription.

        Closing the generator closes the resolver's. The last result is one with `executed` False, if any is.
        """
        if operation.type is not OperationType.SUBSCRIPTION:
            yield await self.execute(operation, context)
            return
        results = await self._schema.subscribe(
            operation.document,
            variable_values=dict(operation.request.variables),
            context_value=context,
            operation_name=operation.name,
            operation_extensions=dict(operation.request.extensions),
        )
        async with aclosing(results):
            async for event in results:
                self._report(event, context)
                result = _result(operation, event)
                yield result
                if not result.executed:
                    return

    def refused(self, context: Any, error: RequestError) -> None:
        """Have `on_refusal` hear of what was refused to the principal of `context` outside of any operation."""
        if self._on_refusal is not None:
            self._on_refusal(context, None, error)

    def _report(self, result: StrawberryResult, context: Any) -> None:
        if self._on_refusal is None:
            return
        for error in result.errors or ():
            cause = cause_of(error)
            if isinstance(cause, RequestError):
                field = next((node.name.value for node in error.nodes or () if isinstance(node, FieldNode)), None)
                self._on_refusal(context, field, cause)


def _result(operation: Operation, result: StrawberryResult) -> Result:
    def formatted(errors: list[GraphQLError]) -> list[FormattedError]:
        return format_errors(errors, query=operation.request.query, variables=operation.request.variables)

    errors = formatted(result.errors or [])
    # Errors that belong to no field are those of the whole request: coercion of variables, a source that broke.
    if errors and (
        isinstance(result, PreExecutionError) or (result.data is None and all("path" not in error for error in errors))
    ):
        return Result.refused(errors)
    payload: dict[str, Any] = {"data": result.data}
    if errors:
        payload["errors"] = errors
    if result.extensions:
        payload["extensions"] = result.extensions
    try:
        return Result(orjson.dumps(payload), errors)
    except TypeError as error:
        return Result.refused(formatted([GraphQLError("the result is not JSON", original_error=error)]))


def _equip(schema: strawberry.Schema) -> strawberry.Schema:
    """A copy of the schema that executes prepared documents, leaks nothing and leaves the logging of errors to us."""
    equipped = copy(schema)
    equipped.extensions = (*schema.extensions, _PreparedDocument)
    equipped.execution_context_class = TidyExecutor
    equipped.process_errors = _process_no_errors  # type: ignore[method-assign]
    return equipped


class _PreparedDocument(SchemaExtension):
    """Has Strawberry take the tree of a `Document`, which is valid, instead of parsing and validating its text."""

    def on_parse(self) -> Iterator[None]:
        document = self.execution_context.query
        if isinstance(document, Document):
            self.execution_context.graphql_document = document.tree
        yield

    def on_validate(self) -> Iterator[None]:
        # Strawberry validates while this is None.
        self.execution_context.pre_execution_errors = []
        yield


class TidyExecutor(StrawberryGraphQLCoreExecutionContext):
    """Leaves nothing behind that graphql-core 3.3.2 does: there the events of a subscription share one memo of
    sub-fields whose keys never repeat, so it grows with every event. A test says when it no longer does so.
    """

    def build_per_event_executor(self, payload: Any) -> GraphQLCoreExecutor[Any]:
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}
        return executor


def _process_no_errors(errors: list[GraphQLError], execution_context: Any = None) -> None:
    """Strawberry would log every error, with the values that its message holds; `errors` logs what must be."""
