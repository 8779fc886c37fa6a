"""The HTTP transport, by the GraphQL over HTTP specification.

https://graphql.github.io/graphql-over-http/draft/

`application/json` is answered as the specification has it for clients of before its own media type: 200 for every
well-formed request. `application/graphql-response+json` is answered with a status that says what happened. Who takes a
stream gets one, for any operation; subscriptions need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from email.message import Message as EmailMessage
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from graphql import FieldNode, OperationType
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...resolvers.access import ANONYMOUS, Principal
from ...resolvers.errors import BadUserInput, Forbidden, LimitExceeded, Unauthenticated, Unavailable
from .connections import Connections
from .environment import Environment
from .errors import INTERNAL, FormattedError, format_exception, request_error
from .execution import Operation, Result
from .negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, MULTIPART, STREAMS, acceptable
from .request import GraphQLRequest, InvalidRequest, parse_json, parse_request
from .stream_formats import EventStream, Multipart
from .streaming import Stream
from .uvicorn_protocol import WHEN_LEFT

_STATUS_BY_CODE = {
    BadUserInput.code: 400,
    LimitExceeded.code: 400,
    Unauthenticated.code: 401,
    Forbidden.code: 403,
    INTERNAL: 500,
    Unavailable.code: 503,
}


OPEN_BYTES = 4 * 1024
"""How large a body may be that comes without a credential: it costs half a second to validate the worst of four times
that length."""


class HttpRefusal(Exception):
    """The request is answered with this status and this error, and is not executed."""

    def __init__(self, status: int, error: FormattedError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error["message"])
        self.status = status
        self.error = error
        self.headers = headers


def refusal(
    status: int, message: str, code: str = BadUserInput.code, headers: Mapping[str, str] | None = None
) -> HttpRefusal:
    return HttpRefusal(status, request_error(message, code), headers)


async def serve_http(
    scope: Scope, receive: Receive, send: Send, environment: Environment, connections: Connections
) -> None:
    """Answer one HTTP request; a stream is one of the connections while it lasts."""
    error_type = JSON
    try:
        if scope["method"] not in {"GET", "POST"}:
            raise refusal(405, "Send GET or POST.", headers={"Allow": "GET, POST"})
        media_types = acceptable(tuple(Headers(scope=scope).getlist("accept")))
        if not media_types:
            raise refusal(406, f"Accept {GRAPHQL_RESPONSE}, {JSON}, {EVENT_STREAM} or {MULTIPART}.")
        error_type = next((media_type for media_type in media_types if media_type not in STREAMS), JSON)
        response = await _answer(scope, receive, environment, connections, media_types)
    except HttpRefusal as refused:
        response = error_response(refused, error_type)
    except ClientDisconnect:
        return
    await response(scope, receive, send)


def error_response(refused: HttpRefusal, media_type: str = JSON) -> Response:
    return _response(refused.status, orjson.dumps({"errors": [refused.error]}), media_type, refused.headers)


async def _answer(
    scope: Scope, receive: Receive, environment: Environment, connections: Connections, media_types: Sequence[str]
) -> ASGIApp:
    headers = Headers(scope=scope)
    if scope["method"] == "POST":
        if not environment.allows_origin(scope):
            raise refusal(403, "This origin is not allowed.", Forbidden.code)
        _check_content_type(headers)
    principal, operation = await _admit(scope, headers, receive, environment, connections)
    if isinstance(operation, Operation):
        media_type = _media_type_of(operation, scope["method"], media_types)
    else:
        media_type = media_types[0]
    if media_type in STREAMS:
        return _StreamResponse(operation, media_type, principal, environment, connections)
    if isinstance(operation, Result):
        return _result_response(operation, media_type)
    execution = environment.executor.execute(operation, _context(environment, principal))
    return _result_response(await _while_connected(scope, execution), media_type)


async def _while_connected(scope: Scope, execution: Coroutine[Any, Any, Result]) -> Result:
    """The result of an operation that is cancelled when its client leaves. Raises ClientDisconnect then.

    One rule for all operations and transports: nobody is left to hear of the result, so the work for it ends. It holds
    for writes, too, because the store finishes each statement and each commit that it began: one that is cancelled is
    undone or done as a whole, with its audit row, which is all that a client can know who left without an answer.
    """
    when_left = scope["extensions"][WHEN_LEFT]
    connected = asyncio.timeout(None)
    try:
        async with connected:
            when_left(lambda: connected.reschedule(asyncio.get_running_loop().time()))
            try:
                return await execution
            finally:
                when_left(None)
    except TimeoutError:
        if not connected.expired():
            raise
        raise ClientDisconnect from None


async def _admit(
    scope: Scope, headers: Headers, receive: Receive, environment: Environment, connections: Connections
) -> tuple[Principal, Operation | Result]:
    """Who asks, and what for. Who shows no credential is told so before anything else, unless they are signing in."""
    if scope["method"] == "POST" and environment.open_mutations and "authorization" not in headers:
        return ANONYMOUS, await _open_operation(headers, receive, environment)
    looks = connections.looks
    principal = await _authenticate(headers, environment)
    if scope["method"] == "POST":
        request = _parse_body(await _read_body(headers, receive, environment, environment.limits.message_bytes))
    else:
        request = _parse_query_string(scope["query_string"])
    operation = environment.executor.prepare(request)
    # What was revoked while the body came must not open a stream that nobody would look at any more.
    return principal if connections.looks == looks else await _authenticate(headers, environment), operation


async def _open_operation(headers: Headers, receive: Receive, environment: Environment) -> Operation:
    """What somebody asks for who shows no credential. Raises HttpRefusal unless that is what anybody may ask for."""
    limit = min(OPEN_BYTES, environment.limits.message_bytes)
    try:
        request = _parse_body(await _read_body(headers, receive, environment, limit))
    except HttpRefusal:
        request = None
    # Parsing costs: nobody who is not signing in has it done.
    if request is not None and any(name in request.query for name in environment.open_mutations):
        operation = environment.executor.prepare(request)
        if isinstance(operation, Operation) and _is_open(operation, environment):
            return operation
    await _authenticate(headers, environment)
    raise refusal(401, "A credential is needed.", Unauthenticated.code, {"WWW-Authenticate": "Bearer"})


def _is_open(operation: Operation, environment: Environment) -> bool:
    """Whether all that is asked for may be asked for by anybody. Fragments are not looked into."""
    return operation.type is OperationType.MUTATION and all(
        isinstance(field, FieldNode) and field.name.value in environment.open_mutations
        for field in operation.document.operation(operation.name).selection_set.selections
    )


class _StreamResponse:
    """The answer to an operation as a stream. Raises HttpRefusal when the principal has too many."""

    def __init__(
        self,
        operation: Operation | Result,
        media_type: str,
        principal: Principal,
        environment: Environment,
        connections: Connections,
    ) -> None:
        if isinstance(operation, Result):
            self._results = _only(operation)
        else:
            self._results = environment.executor.stream(operation, _context(environment, principal))
        limit = environment.limits.connections_per_principal
        if not connections.admit(principal.subject, limit):
            message = f"You have {limit} websockets and streams open; more are not allowed."
            raise refusal(429, message, LimitExceeded.code)
        self._format = EventStream() if media_type == EVENT_STREAM else Multipart()
        self._principal = principal
        self._limits = environment.limits
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = Stream(scope, receive, send, self._format, self._results, self._principal, self._limits)
        try:
            await self._connections.serve(stream)
        finally:
            self._connections.leave(self._principal.subject)


async def _only(result: Result) -> AsyncGenerator[Result, None]:
    yield result


def _context(environment: Environment, principal: Principal) -> Any:
    try:
        return environment.make_context(principal)
    except Exception as error:  # noqa: BLE001 - masked and logged there
        raise _refused(error) from None


def _check_content_type(headers: Headers) -> None:
    # A browser sends no JSON across origins without asking first; forms and plain text it does.
    media_type, charset = _content_type(headers.get("content-type", "text/plain"))
    if media_type != JSON:
        raise refusal(415, f"Send {JSON}.")
    if charset not in {"utf-8", "utf8"}:
        raise refusal(415, "Send UTF-8.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise refusal(415, "Send the body without a content encoding.")


@lru_cache(maxsize=32)
def _content_type(value: str) -> tuple[str, str]:
    """The media type and the charset of a Content-Type header, in lower case."""
    message = EmailMessage()
    message["content-type"] = value
    return message.get_content_type(), message.get_content_charset() or "utf-8"


async def _authenticate(headers: Headers, environment: Environment) -> Principal:
    try:
        return await environment.authenticate(headers.get("authorization"))
    except Exception as error:  # noqa: BLE001 - masked and logged there
        raise _refused(error) from None


def _refused(error: Exception) -> HttpRefusal:
    formatted = format_exception(error)
    status = _STATUS_BY_CODE.get(formatted["extensions"]["code"], 400)
    return HttpRefusal(status, formatted, {"WWW-Authenticate": "Bearer"} if status == 401 else None)


async def _read_body(headers: Headers, receive: Receive, environment: Environment, limit: int) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(environment.limits.body_timeout_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise refusal(408, "The body did not come in time.", headers={"Connection": "close"}) from None


def _too_large(limit: int) -> HttpRefusal:
    # Nothing more is read, so the connection cannot be used again.
    return refusal(413, f"A body has at most {limit} bytes.", LimitExceeded.code, {"Connection": "close"})


def _parse_body(body: bytes) -> GraphQLRequest:
    try:
        return parse_request(parse_json(body))
    except InvalidRequest as error:
        raise refusal(400, f"Invalid body: {error}.") from None


def _parse_query_string(query_string: bytes) -> GraphQLRequest:
    try:
        parameters: dict[str, object] = dict(
            parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
        )
        for name in ("variables", "extensions"):
            if isinstance(text := parameters.get(name), str):
                parameters[name] = parse_json(text) if text else None
        return parse_request(parameters)
    except InvalidRequest as error:
        raise refusal(400, f"Invalid query string: {error}.") from None
    except ValueError:
        raise refusal(400, "Invalid query string.") from None


def _media_type_of(operation: Operation, method: str, media_types: Sequence[str]) -> str:
    """The media type to answer this operation with. Raises HttpRefusal."""
    if method == "GET" and operation.type is OperationType.MUTATION:
        raise refusal(405, "Send mutations by POST.", headers={"Allow": "POST"})
    if operation.type is not OperationType.SUBSCRIPTION:
        return media_types[0]
    stream = next((media_type for media_type in media_types if media_type in STREAMS), None)
    if stream is None:
        raise refusal(
            400,
            "A subscription needs a websocket (subprotocol graphql-transport-ws), "
            f"or a stream: Accept {EVENT_STREAM} or {MULTIPART}.",
        )
    return stream


def _result_response(result: Result, media_type: str) -> Response:
    status = 200
    if not result.executed:
        status = _STATUS_BY_CODE.get(result.errors[0]["extensions"]["code"], 400)
        if media_type == JSON and status < 500:
            status = 200
    return _response(status, result.payload, media_type)


def _response(status: int, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    headers = {**(headers or {}), "Cache-Control": "no-store"}
    return Response(body, status, headers, media_type=f"{media_type}; charset=utf-8")
