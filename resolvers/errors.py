"""What a resolver can answer besides its result.

ResolverError
├── UserError             answers of a mutation that its caller can act on; typed results in the API
│   ├── InvalidInput
│   ├── NotFound
│   ├── AliasTaken
│   ├── VersionConflict
│   ├── RevisionConflict
│   ├── InUse
│   ├── LastAdminKey
│   └── ProtectedDefault
└── RequestError          the request as a whole is refused; top-level errors with `extensions.code` in the API
    ├── Unauthenticated
    ├── Forbidden
    ├── BadUserInput
    ├── LimitExceeded
    └── Unavailable
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ClassVar, ParamSpec, TypeVar

from ..store import Binding, ModelConfig, Position, StoreUnavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ResolverError(Exception):
    """Base of all that resolvers raise on purpose. The text is shown to the caller and never holds a secret."""


class UserError(ResolverError):
    """Something that the caller can put right. `path` leads to the field of the mutation's input, None when to none.

    A path has the API's own names, for example `("input", "params", "api_key")`.
    """

    def __init__(self, message: str, path: tuple[str, ...] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class InvalidInput(UserError):
    """A value that is not allowed; the message says what would be."""


class NotFound(UserError):
    """There is no such thing, or none that the caller may see."""


class AliasTaken(UserError):
    """Another config has the alias."""


class ProtectedDefault(UserError):
    """The default aliases can neither be deleted nor renamed."""


class LastAdminKey(UserError):
    """Nobody could make API keys any more."""


class InUse(UserError):
    """Components use it. `bindings` are some of them, none when the caller may not see them."""

    def __init__(self, message: str, bindings: tuple[Binding, ...]) -> None:
        super().__init__(message, ("input", "id"))
        self.bindings = bindings


class VersionConflict(UserError):
    """Somebody else wrote first. `current` is the config as it is now."""

    def __init__(self, message: str, current: ModelConfig) -> None:
        super().__init__(message, ("input", "expectedVersion"))
        self.current = current


class RevisionConflict(UserError):
    """Somebody wrote since the caller looked. `current` is where the store is now."""

    def __init__(self, message: str, current: Position) -> None:
        super().__init__(message, ("input", "expectedRevision"))
        self.current = current


class RequestError(ResolverError):
    """The request is refused as a whole. `code` is what `extensions.code` says."""

    code: ClassVar[str] = "INTERNAL"


class Unauthenticated(RequestError):
    """No credential, or one that is not valid."""

    code = "UNAUTHENTICATED"


class Forbidden(RequestError):
    """The credential is valid and does not allow this."""

    code = "FORBIDDEN"


class BadUserInput(RequestError):
    """An argument of a query or subscription is not allowed."""

    code = "BAD_USER_INPUT"


class LimitExceeded(RequestError):
    """The request is larger or more frequent than the settings allow."""

    code = "LIMIT_EXCEEDED"


class Unavailable(RequestError):
    """The server cannot answer now; trying again later may help."""

    code = "UNAVAILABLE"


def no_such_config() -> NotFound:
    """The answer to an id that leads to no config, or to one that the caller may not see: nobody learns which."""
    return NotFound("there is no model config with this id, or none that you may see", ("input", "id"))


@contextmanager
def store_errors_translated() -> Iterator[None]:
    """Turn the store's StoreUnavailable into Unavailable. Other errors of the store are bugs or damage, and pass."""
    try:
        yield
    except StoreUnavailable as error:
        raise Unavailable("the database cannot be reached at the moment: try again later") from error


def translates_store_errors(
    resolver: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Decorate a resolver with `store_errors_translated`."""

    @wraps(resolver)
    async def translated(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with store_errors_translated():
            return await resolver(*args, **kwargs)

    return translated
