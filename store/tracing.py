"""Spans of what becomes of a change, for OpenTelemetry: they cost nothing, and nothing is imported, until something
else in the process has loaded it, as `opentelemetry-instrument` does.

Each revision has a trace of its own, whose id every process works out from the revision: the servers and the
components need not send each other anything for their spans to meet there. Whoever caused it is linked.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span

_NAME = "modelwire"


def begin(name: str, revisions: Iterable[str], **attributes: str | int) -> Callable[[], None]:
    """Begin a span in the trace of each of these revisions; what to call at its end."""
    if not _loaded():
        return _nothing
    spans = [_start(name, revision, attributes, links=_caller()) for revision in sorted(set(revisions))]

    def end() -> None:
        for span in spans:
            span.end()

    return end


@contextmanager
def writing() -> Iterator[Callable[[str], None]]:
    """A span of a transaction, in the trace of whoever asked for it. What it gives is called with its revision once it
    is committed.
    """
    if not _loaded():
        yield _ignore
        return
    from opentelemetry import trace

    with trace.get_tracer(_NAME).start_as_current_span("modelwire.transaction") as span:

        def committed(revision: str) -> None:
            commit = _start("modelwire.commit", revision, {}, links=[trace.Link(span.get_span_context())])
            commit.end()
            span.set_attribute("modelwire.revision", revision)
            span.add_link(commit.get_span_context())

        yield committed


def _start(name: str, revision: str, attributes: dict[str, str | int], *, links: list[Link]) -> Span:
    from opentelemetry import trace

    digest = hashlib.sha256(f"modelwire:{revision}".encode()).digest()
    root = trace.SpanContext(
        trace_id=int.from_bytes(digest[:16]),
        span_id=int.from_bytes(digest[16:24]),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.get_tracer(_NAME).start_span(
        name,
        context=trace.set_span_in_context(trace.NonRecordingSpan(root)),
        links=links,
        attributes={"modelwire.revision": revision, **attributes},
    )


def _caller() -> list[Link]:
    from opentelemetry import trace

    current = trace.get_current_span().get_span_context()
    return [trace.Link(current)] if current.is_valid else []


def _loaded() -> bool:
    return "opentelemetry.trace" in sys.modules


def _nothing() -> None:
    """There is no span to end."""


def _ignore(_revision: str) -> None:
    """There is no span to tell."""
