"""Executing requests: what Strawberry's schema answers, as results that are ready to be sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass
from inspect import iscoroutine
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
from .documents import Document, DocumentRefused, check_cost, document_parser
from .errors import FormattedError, cause_of, format_errors
from .limits import Limits
from .request import GraphQLRequest
from .sharing import Shareable, shareable

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

    `on_refusal` hears of each RequestError that a resolver raised, None: nobody does. `shared_fields` are those that
    may be asked for by many at once: see `sharing.shareable`.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        on_refusal: OnRefusal | None = None,
        shared_fields: frozenset[str] = frozenset(),
    ) -> None:
        self._schema = _equip(schema)
        self._shared_fields = shared_fields
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
        """Execute a query or a mutation."""
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
    """Leaves nothing behind that graphql-core 3.3.2 does. A test for each says when it no longer does so.

    The events of a subscription share one memo of sub-fields whose keys never repeat, so it grows with every event.

    When a field fails or an operation is cancelled, the coroutines beside it that were not begun are dropped, those of
    resolvers and those that complete their values, and Python warns of each: a client could fill the log with that.
    """

    def build_per_event_executor(self, payload: Any) -> GraphQLCoreExecutor[Any]:
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}
        return executor

    def execute_field(self, *arguments: Any) -> Any:
        return _droppable(super().execute_field(*arguments))

    def complete_value(self, *arguments: Any) -> Any:
        return _droppable(super().complete_value(*arguments))

    def complete_list_item_value(self, item: Any, complete_results: list[Any], *arguments: Any) -> bool:
        awaitable = super().complete_list_item_value(item, complete_results, *arguments)
        if awaitable:
            complete_results[-1] = _droppable(complete_results[-1])
        return awaitable

    def complete_awaitable_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Coroutine[Any, Any, Any]:
        result = _droppable(result)
        return super().complete_awaitable_value(return_type, field_details_list, info, path, result, position_context)


class Droppable:
    """A coroutine that may never be awaited."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, Any]:
        return self._coroutine.__await__()

    def __del__(self) -> None:
        # Without effect on one that has ended. One that runs is held by the task that awaits it, as is this.
        self._coroutine.close()


def _droppable(value: Any) -> Any:
    return Droppable(value) if iscoroutine(value) else value


def _process_no_errors(errors: list[GraphQLError], execution_context: Any = None) -> None:
    """Strawberry would log every error, with the values that its message holds; `errors` logs what must be."""
