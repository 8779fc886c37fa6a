"""How results are written into the body of one HTTP response, as they come. Pure: no I/O.

Server-sent events are those of graphql-sse, in its distinct connections mode; multipart is Apollo's protocol for
subscriptions.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
"""

from __future__ import annotations

from typing import Protocol

import orjson

from .errors import FormattedError


class StreamFormat(Protocol):
    """What the parts of a body look like. A body is `opening`, any number of parts, and `closing`.

    A body that ends without `closing` tells the client that the stream broke: it is to come back.
    """

    content_type: str
    opening: bytes
    heartbeat: bytes
    """A part that means nothing, so that nobody between takes the connection for dead."""
    closing: bytes

    def result(self, payload: bytes) -> bytes:
        """A part with one GraphQL response, whose JSON is ready."""

    def failure(self, error: FormattedError) -> bytes:
        """A part that says why the stream ends, which is no fault of the operation's. `closing` follows."""


class EventStream:
    """Server-sent events. Lines end with LF: urql splits them at nothing else."""

    content_type = "text/event-stream; charset=utf-8"
    # Some browsers show nothing of a response, not even its status, before its first byte.
    opening = b":\n\n"
    heartbeat = b":\n\n"
    # EventSource dispatches no event without data.
    closing = b"event: complete\ndata:\n\n"

    def result(self, payload: bytes) -> bytes:
        # JSON by orjson is one line.
        return b"event: next\ndata: %b\n\n" % payload

    def failure(self, error: FormattedError) -> bytes:
        return self.result(orjson.dumps({"errors": [error]}))


class Multipart:
    """Apollo's parts: `{"payload": …}` for a result, `{}` for a heartbeat, `errors` beside the payload for a failure.

    Each part ends with the boundary that begins the next, because clients take a part for whole only then.
    """

    content_type = 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
    opening = b"--graphql"
    closing = b"--\r\n"

    def __init__(self) -> None:
        self.heartbeat = self._part(b"{}")

    def result(self, payload: bytes) -> bytes:
        return self._part(b'{"payload":%b}' % payload)

    def failure(self, error: FormattedError) -> bytes:
        return self._part(orjson.dumps({"payload": None, "errors": [error]}))

    def _part(self, content: bytes) -> bytes:
        return b"\r\nContent-Type: application/json\r\n\r\n%b\r\n--graphql" % content
