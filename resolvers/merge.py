"""An existing config and what a writer gives, made into the config that the writer wants.

Stored credentials belong to where they were stored for. A change of provider, auth type or address drops those that
the writer does not give anew: otherwise whoever may write could have them sent to a host of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from ..store import Auth, AuthType, Json, ModelConfig, ModelConfigDraft, Secrets
from .auth_types import AUTH_SCHEMES, AuthField, FieldKind
from .errors import InvalidInput
from .inputs import UNSET, AuthInput, ModelConfigInput, Unset
from .params import holds_secret, steering
from .references import is_reference
from .validation import validate_params_size

_T = TypeVar("_T")

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Below this length four characters would be too much of the secret.
_MIN_HINTED_LENGTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The wanted config, and whether stored credentials that the writer did not mention were dropped on the way.

    `gives_credentials` says whether the writer gave a secret as a value. It counts as a change even when it equals
    the stored one, so that nobody can try guesses against it.
    """

    draft: ModelConfigDraft
    dropped_credentials: bool
    gives_credentials: bool


def draft_of(config: ModelConfig, secrets: Secrets) -> ModelConfigDraft:
    """The content of a config, with its opened secrets, as its writer would have to give it."""
    return ModelConfigDraft(
        alias=config.alias,
        description=config.description,
        provider=config.provider,
        model=config.model,
        api_base=config.api_base,
        auth=config.auth,
        params=config.params,
        max_input_tokens=config.max_input_tokens,
        secrets=secrets,
    )


def merge(base: ModelConfigDraft, given: ModelConfigInput, *, lost: str | None = None) -> Merged:
    """Lay validated input over a config: absent keeps, null clears, a value replaces.

    `base` for a new config is a draft with nothing but the alias. `lost` says why the secrets of `base` cannot be
    opened, None when they are open: those that are not given anew are dropped then.
    Raises InvalidInput where fields do not go together, and where nothing takes the place of lost secrets.
    """
    if lost is not None:
        _require_replacement(base, given, lost)
    auth = AuthInput(type=AuthType.NONE) if given.auth is None else given.auth
    plain, sealed = _merge_params(base, given.params)
    draft = replace(
        base,
        alias=base.alias if isinstance(given.alias, Unset) or given.alias is None else given.alias,
        description=_pick(given.description, base.description),
        provider=_pick(given.provider, base.provider),
        model=_pick(given.model, base.model),
        api_base=_pick(given.api_base, base.api_base),
        max_input_tokens=_pick(given.max_input_tokens, base.max_input_tokens),
        auth=_merge_auth(base, auth),
        params=plain,
        secrets=Secrets(auth=_merge_auth_secrets(base, auth), params=sealed),
    )
    moves = _destination(draft) != _destination(base)
    dropped = False
    if moves or lost is not None:
        names = credential_names(base.auth) if moves else set(base.auth.hints)
        draft, dropped = _without_kept_credentials(base, draft, auth, given.params, names)
    _check_whole(draft)
    return Merged(draft=draft, dropped_credentials=dropped, gives_credentials=_gives_credentials(auth, given.params))


def same_content(one: ModelConfigDraft, other: ModelConfigDraft) -> bool:
    """Whether two drafts mean the same config. Unlike `==`, 1, 1.0 and true are three values."""
    return _canonical(one) == _canonical(other)


def origin(url: str | None) -> tuple[str, ...] | None:
    """Scheme, host and port of a URL. A reference is an origin of its own; None is the provider's own."""
    if url is None:
        return None
    if is_reference(url):
        return (url,)
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    return (parts.scheme, parts.hostname or "", str(port))


def credential_names(auth: Auth) -> set[str]:
    """The secret fields for which something is stored: a sealed value or a reference."""
    return (set(auth.fields) | set(auth.hints)) & AUTH_SCHEMES[auth.type].secret_names


def _require_replacement(base: ModelConfigDraft, given: ModelConfigInput, lost: str) -> None:
    if not isinstance(given.auth, Unset):
        return
    if base.auth.hints:
        raise InvalidInput(
            f"the stored credentials cannot be opened: {lost}. Give auth anew, which replaces them", ("input", "auth")
        )
    if isinstance(given.params, Unset) and base.secrets.params:
        raise InvalidInput(
            f"the stored values of {', '.join(base.secrets.params)} cannot be opened: {lost}. Give params anew, which "
            "replaces them",
            ("input", "params"),
        )


def _pick(given: _T | Unset | None, stored: _T | None) -> _T | None:
    return stored if isinstance(given, Unset) else given


def _merge_params(base: ModelConfigDraft, given: Json | Unset) -> tuple[Mapping[str, Json], Mapping[str, Json]]:
    """The plain and the sealed params. Given ones replace all plain ones, and each sealed one that they name."""
    if given is UNSET:
        return base.params, base.secrets.params
    if given is None:
        return {}, {}
    sealed = {name: value for name, value in base.secrets.params.items() if name not in given}
    plain: dict[str, Json] = {}
    for name, value in given.items():
        if holds_secret(name, value):
            sealed[name] = value
        elif value is not None or name not in base.secrets.params:
            plain[name] = value
    return plain, sealed


def _merge_auth(base: ModelConfigDraft, given: AuthInput | Unset) -> Auth:
    if isinstance(given, Unset):
        return base.auth
    kept = base.auth if given.type is base.auth.type else Auth(type=given.type)
    fields = {name: value for name, value in kept.fields.items() if name not in given.values}
    hints = {name: hint for name, hint in kept.hints.items() if name not in given.values}
    scheme = AUTH_SCHEMES[given.type]
    for name, value in _auth_values(given).items():
        if name in scheme.secret_names and not is_reference(value):
            hints[name] = _hint(scheme.field(name), value)
        else:
            fields[name] = value
    return Auth(type=given.type, fields=fields, hints=hints)


def _merge_auth_secrets(base: ModelConfigDraft, given: AuthInput | Unset) -> Mapping[str, str]:
    if isinstance(given, Unset):
        return base.secrets.auth
    kept = base.secrets.auth if given.type is base.auth.type else {}
    return {name: value for name, value in kept.items() if name not in given.values} | _given_secrets(given)


def _auth_values(given: AuthInput) -> dict[str, Json]:
    if given.type is AuthType.NONE:
        return {}
    return {name: value for name, value in given.values.items() if value is not None}


def _given_secrets(given: AuthInput) -> dict[str, str]:
    secret_names = AUTH_SCHEMES[given.type].secret_names
    return {n: value for n, value in _auth_values(given).items() if n in secret_names and not is_reference(value)}


def _hint(field: AuthField | None, secret: str) -> str | None:
    """The last four characters; None for short secrets, and for JSON texts, whose end says nothing."""
    told = len(secret) >= _MIN_HINTED_LENGTH and field is not None and field.kind is not FieldKind.JSON_OBJECT
    return secret[-4:] if told else None


def _destination(draft: ModelConfigDraft) -> str:
    """Everything that decides where this config's credentials go, in a form to compare."""
    model = draft.model if draft.model is not None and "://" in draft.model else None
    return json.dumps(
        [
            draft.provider,
            draft.auth.type,
            origin(draft.api_base),
            origin(draft.auth.fields.get("token_url")),
            # Some providers take an address as the model.
            model,
            sorted(steering(draft.params), key=lambda item: item[0]),
            sorted(steering(draft.secrets.params), key=lambda item: item[0]),
        ],
        sort_keys=True,
    )


def _without_kept_credentials(
    base: ModelConfigDraft, draft: ModelConfigDraft, auth: AuthInput | Unset, params: Json | Unset, names: set[str]
) -> tuple[ModelConfigDraft, bool]:
    """The draft with only those sealed params and those of the fields `names` of its auth that the writer named, and
    whether any other was there to drop.
    """
    lost_auth = set(names)
    if isinstance(auth, AuthInput) and auth.type is base.auth.type:
        lost_auth -= set(auth.values)
    lost_params = set() if params is None else set(base.secrets.params)
    if isinstance(params, Mapping):
        lost_params -= set(params)
    kept_auth = replace(
        draft.auth, fields=_without(draft.auth.fields, lost_auth), hints=_without(draft.auth.hints, lost_auth)
    )
    secrets = Secrets(auth=_without(draft.secrets.auth, lost_auth), params=_without(draft.secrets.params, lost_params))
    return replace(draft, auth=kept_auth, secrets=secrets), bool(lost_auth or lost_params)


def _without(values: Mapping[str, _T], names: set[str]) -> dict[str, _T]:
    return {name: value for name, value in values.items() if name not in names}


def _gives_credentials(auth: AuthInput | Unset, params: Json | Unset) -> bool:
    if not isinstance(auth, Unset) and _given_secrets(auth):
        return True
    return isinstance(params, Mapping) and any(holds_secret(name, value) for name, value in params.items())


def _check_whole(draft: ModelConfigDraft) -> None:
    scheme = AUTH_SCHEMES[draft.auth.type]
    for field in scheme.fields:
        if field.required and field.name not in draft.auth.fields:
            raise InvalidInput(
                f"auth.{scheme.api_name} needs {field.api_name}", ("input", "auth", scheme.api_name, field.api_name)
            )
    validate_params_size({**draft.params, **draft.secrets.params})


def _canonical(draft: ModelConfigDraft) -> str:
    return json.dumps(
        [
            [draft.alias, draft.description, draft.provider, draft.model, draft.api_base, draft.max_input_tokens],
            [draft.auth.type, dict(draft.auth.fields), dict(draft.auth.hints)],
            [dict(draft.params), dict(draft.secrets.auth), dict(draft.secrets.params)],
        ],
        sort_keys=True,
    )
