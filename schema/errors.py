"""Typed errors: answers of a mutation that its caller can act on."""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import strawberry

from ..resolvers import errors
from .base import Revision, revision
from .components import ComponentBinding
from .types import ModelConfig

_T = TypeVar("_T")
_Payload = TypeVar("_Payload")


@strawberry.interface(description="Something that the caller can put right.")
class UserError:
    message: str = strawberry.field(description="What is wrong and what would be right, for people.")
    path: list[str] | None = strawberry.field(
        description="The way to the argument that the message is about, such as "
        '`["input", "params", "api_key"]`; null when it is about none.'
    )


@strawberry.type(description="A value that is not allowed.")
class InvalidInput(UserError):
    pass


@strawberry.type(description="There is no such thing, or none that the caller may see.")
class NotFound(UserError):
    pass


@strawberry.type(description="Another model config has the alias.")
class AliasTaken(UserError):
    pass


@strawberry.type(description="The default aliases can neither be deleted nor renamed.")
class ProtectedDefault(UserError):
    pass


@strawberry.type(
    description="Nobody could make API keys any more: it is the last with `api_key:admin` that is bound to no aliases."
)
class LastAdminKey(UserError):
    pass


@strawberry.type(description="Somebody else wrote first: `expectedVersion` is not the version that the config is at.")
class VersionConflict(UserError):
    current: ModelConfig = strawberry.field(description="The config as it is now.")


@strawberry.type(description="Somebody wrote since `expectedRevision`: plan anew from what is there now.")
class RevisionConflict(UserError):
    current: Revision = strawberry.field(description="The revision that the store is at now.")


@strawberry.type(description="Components use the model config, and would be left without.")
class InUse(UserError):
    components: list[ComponentBinding] = strawberry.field(
        description="Those that are connected, at most 100; empty without the scope `component:read`."
    )


_TYPES: dict[type[errors.UserError], type[UserError]] = {
    errors.InvalidInput: InvalidInput,
    errors.NotFound: NotFound,
    errors.AliasTaken: AliasTaken,
    errors.ProtectedDefault: ProtectedDefault,
    errors.LastAdminKey: LastAdminKey,
}


async def answer(result: Awaitable[_T], payload: Callable[[_T], _Payload]) -> _Payload:
    """The payload of a mutation's result, or the typed error in its place.

    The error is a member of the mutation's union beside the payload; type checkers are told of the payload alone.
    """
    try:
        return payload(await result)
    except errors.VersionConflict as error:
        current = ModelConfig.of(error.current)
        return cast(_Payload, VersionConflict(message=error.message, path=_path(error), current=current))
    except errors.RevisionConflict as error:
        now = revision(error.current)
        return cast(_Payload, RevisionConflict(message=error.message, path=_path(error), current=now))
    except errors.InUse as error:
        bindings = [ComponentBinding.of(binding) for binding in error.bindings]
        return cast(_Payload, InUse(message=error.message, path=_path(error), components=bindings))
    except errors.UserError as error:
        return cast(_Payload, _TYPES[type(error)](message=error.message, path=_path(error)))


def _path(error: errors.UserError) -> list[str] | None:
    return None if error.path is None else list(error.path)
