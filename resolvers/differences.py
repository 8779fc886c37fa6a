"""What differs between two versions of a config, field by field, and of secrets only that they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ..store import Json, ModelConfigDraft
from .auth_types import AUTH_SCHEMES

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field before and after. `path` has the API's names, such as ("auth", "clientId") or ("params", "timeout").

    None means "not set". A `secret` change has None for each side that is a sealed value.
    """

    path: Path
    before: Json | None
    after: Json | None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class _Value:
    value: Json
    sealed: bool = False

    @property
    def shown(self) -> Json | None:
        return None if self.sealed else self.value

    def is_same(self, other: _Value) -> bool:
        # Unlike `==`, JSON tells 1, 1.0 and true apart.
        return self.sealed == other.sealed and json.dumps(self.value, sort_keys=True) == json.dumps(
            other.value, sort_keys=True
        )


_NOTHING = _Value(None)


def field_changes(before: ModelConfigDraft | None, after: ModelConfigDraft | None) -> tuple[FieldChange, ...]:
    """The fields that differ, in a fixed order. None for a config that is not there: before it is made, once deleted.

    A param that is null differs from one that is not there, although both sides of its change are None.
    """
    old = {} if before is None else dict(_fields(before))
    new = {} if after is None else dict(_fields(after))
    return tuple(
        _change(path, old.get(path, _NOTHING), new.get(path, _NOTHING))
        for path in dict.fromkeys([*new, *old])
        if (path in old) != (path in new) or not old[path].is_same(new[path])
    )


def _change(path: Path, old: _Value, new: _Value) -> FieldChange:
    return FieldChange(path=path, before=old.shown, after=new.shown, secret=old.sealed or new.sealed)


def _fields(draft: ModelConfigDraft) -> Iterator[tuple[Path, _Value]]:
    plain = {
        "alias": draft.alias,
        "description": draft.description,
        "provider": draft.provider,
        "model": draft.model,
        "apiBase": draft.api_base,
        "maxInputTokens": draft.max_input_tokens,
    }
    yield from (((name,), _Value(value)) for name, value in plain.items() if value is not None)
    scheme = AUTH_SCHEMES[draft.auth.type]
    yield ("auth", "type"), _Value(scheme.api_name)
    for field in scheme.fields:
        if field.name in draft.secrets.auth:
            yield ("auth", field.api_name), _Value(draft.secrets.auth[field.name], sealed=True)
        elif field.name in draft.auth.fields:
            yield ("auth", field.api_name), _Value(draft.auth.fields[field.name])
    yield from ((("params", name), _Value(value)) for name, value in draft.params.items())
    yield from ((("params", name), _Value(value, sealed=True)) for name, value in draft.secrets.params.items())
