"""The trace that a request belongs to, when its sender has one."""

from __future__ import annotations

import sys

from starlette.datastructures import Headers
from starlette.types import Scope


def go_on_with_trace(scope: Scope) -> None:
    """Have the spans of this context belong to the trace of the request's `traceparent`, where OpenTelemetry is loaded
    and has not done so itself.
    """
    if "opentelemetry.trace" not in sys.modules:
        return
    from opentelemetry import context, propagate, trace

    if not trace.get_current_span().get_span_context().is_valid:
        context.attach(propagate.extract(Headers(scope=scope)))
