"""A span of each version that is applied or refused, for OpenTelemetry: nothing is imported, and it costs nothing,
until something else in the process has loaded it, as an application does that has traces.

It lies in the trace of the version's revision, whose id is worked out from the revision, here as in the server: so the
component's span and the server's are in one trace although they send each other nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import ConfigRefused
    from .events import Config

_NOTHING = nullcontext()


def span(name: str, config: Config, refused: ConfigRefused | None = None) -> AbstractContextManager[None]:
    """A span of a block in the trace of a config's revision."""
    return _span(name, config, refused) if "opentelemetry.trace" in sys.modules else _NOTHING


@contextmanager
def _span(name: str, config: Config, refused: ConfigRefused | None) -> Iterator[None]:
    import hashlib

    from opentelemetry import trace

    attributes: dict[str, str | int] = {
        "modelwire.revision": config.revision,
        "modelwire.alias": config.alias,
        "modelwire.version": config.version,
    }
    if refused is not None:
        attributes["modelwire.reason"] = refused.reason
    digest = hashlib.sha256(f"modelwire:{config.revision}".encode()).digest()
    root = trace.SpanContext(
        trace_id=int.from_bytes(digest[:16]),
        span_id=int.from_bytes(digest[16:24]),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    with trace.get_tracer("modelwire").start_as_current_span(
        name,
        context=trace.set_span_in_context(trace.NonRecordingSpan(root)),
        attributes=attributes,
    ):
        yield
