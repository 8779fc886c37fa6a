"""What can go wrong in the subscriber. Errors of websockets and of the network are translated in
`connection.py` and nowhere else.

SubscriberError
├── ConfigurationError    an argument or a MODELWIRE_* variable is missing or malformed; also a ValueError
├── ProviderClosed        the provider, or a model of it, was used after `close()`
├── ModelNotReady         a call was made while the model has no configuration to make it with
├── OAuthFailed           a call's model endpoint wants an OAuth2 token, and its token endpoint gave none
├── ConfigRefused         a configuration cannot be used in this process; the one in use stays
└── LinkError             why the link is down; never raised to the component, its text is `LinkStatus.last_error`
    ├── ConnectionFailed      the socket could not be opened
    ├── ConnectionLost        the socket was open and was closed
    ├── LinkSilent            the socket is open and nothing came for too long
    ├── ProtocolError         the server said something that graphql-transport-ws or the API does not have
    ├── OperationFailed       the server answered the subscription with errors, or ended it
    ├── TokenUnavailable      the callable that was given as `token` did not give one
    └── RenewalFailed         the server did not take the new token, or it is no newer; the one in use counts on
"""

from __future__ import annotations

from .status import ModelStatus


class SubscriberError(Exception):
    """Base of all errors of the subscriber. The text says what to do and never holds a secret."""


class ConfigurationError(SubscriberError, ValueError):
    """The provider cannot be made from what it was given."""


class ProviderClosed(SubscriberError):
    """The provider was closed: it and its models make no calls any more."""


class ModelNotReady(SubscriberError):
    """The model cannot make calls now. `status` says why: see ModelStatus. `detail` adds what is known beyond it."""

    def __init__(self, status: ModelStatus, alias: str, detail: str | None = None) -> None:
        super().__init__(f"the model {alias!r} {_ADVICE[status]}" + (f" ({detail})" if detail else ""))
        self.status = status
        self.alias = alias
        self.detail = detail


_ADVICE = {
    ModelStatus.NONE: "has no configuration: configure this alias in Modelwire, and the model becomes ready by itself",
    ModelStatus.INITIALIZING: (
        "waits for its configuration: `await model.wait_ready(timeout_seconds=…)` before calls, "
        "and look at `provider.link` when it does not come"
    ),
    ModelStatus.READY: "became ready a moment ago: call again",
}


class OAuthFailed(SubscriberError):
    """The token endpoint of a configuration gave no token: the call was not made. Later calls ask again.

    `status_code` is the HTTP status of its answer, None when there was none.
    """

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class ConfigRefused(SubscriberError):
    """A configuration cannot be used in this process.

    `reason` is its class: `invalid_config`, `missing_secret`, or with `probe` what a call came to:
    `probe_failed:authentication`, `probe_failed:not_found`, `probe_failed:rate_limit`, `probe_failed:bad_request`,
    `probe_failed:timeout`, `probe_failed:connection`, `probe_failed:unsupported` or `probe_failed:provider`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class LinkError(SubscriberError):
    """The link is down, or never came up."""


class ConnectionFailed(LinkError):
    """No socket. `status` is the HTTP status of the answer, None when there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionLost(LinkError):
    """The socket closed. `code` is the close code that came from the server, None when none came."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class LinkSilent(LinkError):
    """The socket is open and nothing came through it for too long."""


class ProtocolError(LinkError):
    """A message of the server that cannot be understood."""


class OperationFailed(LinkError):
    """A subscription did not go on. `codes` are the errors' `extensions.code`; empty when the server gave none."""

    def __init__(self, message: str, codes: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.codes = codes


class TokenUnavailable(LinkError):
    """The token callable raised, took too long, or returned something else than a text."""


class RenewalFailed(LinkError):
    """The token could not be renewed on the open socket, which lives on until the one in use expires."""
