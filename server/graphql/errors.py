"""How errors reach clients: one place gives each its message and its code, masks bugs, and withholds values."""

from __future__ import annotations

import logging
import re
import secrets
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from graphql import FieldNode, GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from ...resolvers.errors import BadUserInput, RequestError, Unavailable
from ...store import KeyringError, StoreCorrupt, StoreUnavailable

logger = logging.getLogger(__name__)

FormattedError = dict[str, Any]
"""An error as the GraphQL specification shapes it: message, locations, path, and `extensions.code`."""

INTERNAL = "INTERNAL"
UNAVAILABLE_MESSAGE = "The server cannot reach its database at the moment; try again later."


def format_errors(
    errors: Sequence[GraphQLError], *, query: str = "", variables: Mapping[str, Any] | None = None
) -> list[FormattedError]:
    """Turn errors into what the client is told, and log what it is not.

    A `RequestError` gives its message and code. An error without a foreign cause (syntax, validation, coercion) is
    BAD_USER_INPUT. A bug is "Internal error" with an id, under which the log has its traceback. `query` and
    `variables` are what the client sent: none of their values shows up in a message or in the log.
    """
    sent = _Sent(query, variables or {})
    return [_format(error, sent) for error in errors]


def format_exception(error: Exception) -> FormattedError:
    """The same for an exception that was raised outside of a GraphQL execution."""
    return format_errors([GraphQLError(str(error), original_error=error)])[0]


def request_error(message: str, code: str = BadUserInput.code) -> FormattedError:
    """An error of the transport itself."""
    return {"message": message, "extensions": {"code": code}}


def _format(error: GraphQLError, sent: _Sent) -> FormattedError:
    cause = cause_of(error)
    extensions: dict[str, Any] = {}
    if isinstance(cause, RequestError):
        if isinstance(cause.__cause__, StoreUnavailable):
            logger.warning("the store is unavailable: %s", cause.__cause__)
        message, extensions["code"] = str(cause), cause.code
    elif isinstance(cause, StoreUnavailable):
        logger.warning("the store is unavailable: %s", cause)
        message, extensions["code"] = UNAVAILABLE_MESSAGE, Unavailable.code
    elif _is_clients_fault(error, cause):
        message = sent.removed_from(_without_found(error.message), MESSAGE_CHARACTERS)
        extensions["code"] = BadUserInput.code
    else:
        message = "Internal error"
        extensions |= {"code": INTERNAL, "id": _log_bug(error, cause, sent)}
    formatted: FormattedError = {"message": message}
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        formatted["path"] = error.path
    formatted["extensions"] = extensions
    return formatted


def cause_of(error: GraphQLError) -> Exception:
    """The innermost error; a GraphQLError when no foreign exception is behind it."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _is_clients_fault(error: GraphQLError, cause: Exception) -> bool:
    if isinstance(cause, StrawberryInputCoercionError):
        return True
    if error.path is None:
        # Before execution. A foreign cause with a place in the document is the parser of a scalar.
        return isinstance(cause, GraphQLError) or bool(error.nodes)
    # While executing: an argument that a variable made invalid is theirs, a result that cannot be written is ours.
    return isinstance(cause, GraphQLError) and (
        cause.message.startswith("Argument ") or any(not isinstance(node, FieldNode) for node in error.nodes or ())
    )


def _log_bug(error: GraphQLError, cause: Exception, sent: _Sent) -> str:
    bug_id = secrets.token_hex(8)
    if isinstance(cause, GraphQLError):
        # A result that does not fit its type: the message holds the result.
        text = _without_found(cause.message)
    elif isinstance(cause, StoreCorrupt | KeyringError):
        # No bug: damage, or a key that is missing. The text says what to do.
        text = str(cause)
    else:
        text = "".join(traceback.format_exception(cause))
    path = ".".join(map(str, error.path or ()))
    text = sent.removed_from(text, LOGGED_CHARACTERS)
    logger.error("internal error %s at %s\n%s", bug_id, path or "-", text)
    return bug_id


# graphql-core ends the messages of coercion errors with the value that it found.
_FOUND = re.compile(r"[,;.]? (?:found|but got|received): ", re.IGNORECASE)
_TOKEN = re.compile(r"\b(String|BlockString|Int|Float) (['\"]).*\2", re.DOTALL)


def _without_found(message: str) -> str:
    """The message without the value that it tells of. A client may have put all of these words into it, thousands of
    times: each is looked for once.
    """
    if message.startswith("Syntax Error: "):
        return _TOKEN.sub(r"\1", message)
    begin, end = message.find("Value '"), message.rfind("' does not exist in ")
    shorter = f"{message[:begin]}Value{message[end + 1 :]}" if 0 <= begin < end else message
    shorter = _FOUND.split(shorter, 1)[0]
    before, verb, after = shorter.partition(" cannot represent")
    shorter = before + verb + after.partition(": ")[0]
    return shorter if shorter.endswith((".", "?")) else shorter + "."


# One that is not closed ends with the text: looked for again behind each quote in it, it would take for ever.
_LITERAL = re.compile(r'"""(.*?)(?:"""|\Z)|"((?:[^"\\\n]|\\.)*)"?', re.DOTALL)
_SHORTEST = 6  # shorter values are words of the message itself too often

MESSAGE_CHARACTERS = 500
"""A longer message is cut. It holds what a client sent, and to withhold that takes the time of its square."""
LOGGED_CHARACTERS = 10_000


class _Sent:
    """What a client sent, as a variable or a literal: whatever else a message holds, it holds no such text."""

    def __init__(self, query: str, variables: Mapping[str, Any]) -> None:
        self._query = query
        self._variables = variables

    @cached_property
    def _values(self) -> frozenset[str]:
        literals = (match[1] or match[2] or "" for match in _LITERAL.finditer(self._query))
        values = {value for value in (*_strings(self._variables), *literals) if len(value) >= _SHORTEST}
        return frozenset(values | {repr(value)[1:-1] for value in values})

    @cached_property
    def _by_beginning(self) -> Mapping[str, list[str]]:
        """The values by how they begin, the longest first: of a hundred thousand, a message is compared with few."""
        values: dict[str, list[str]] = defaultdict(list)
        for value in sorted(self._values, key=len, reverse=True):
            values[value[:_SHORTEST]].append(value)
        return values

    def removed_from(self, text: str, most: int) -> str:
        """The text with a mark in the place of each of them, and of what follows `most` characters."""
        places = range(min(len(text), most))
        begun = {i: values for i in places if (values := self._by_beginning.get(text[i : i + _SHORTEST]))}
        rest = ""
        if len(text) > most:
            # What may be the beginning of a value that goes on behind the cut is cut off too.
            cut = next((i for i, values in begun.items() if i + len(values[0]) > most), most)
            text, rest = text[:cut], "…"
        candidates = {id(values): values for values in begun.values()}.values()
        found = {value for values in candidates for value in values if value in text}
        for value in sorted(found, key=len, reverse=True):
            text = text.replace(value, "…")
        return text + rest


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str | int | float):
        yield str(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
