"""Trying a model config before it is trusted: one call as components make it, with a system prompt and a tool.

Given values are laid over a stored config by the rule of `merge.py` that holds for writes: stored credentials go where
they were stored for and nowhere else. Where a write would drop them, a test is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from ..store import AuditAction, AuditEvent, AuthType, Json, ModelConfig, ModelConfigDraft
from .access import Context, Scope
from .errors import InvalidInput, Unavailable, no_such_config, translates_store_errors
from .guarded_proxy import Target, target_of
from .inputs import AuthInput, ModelConfigInput, Unset
from .litellm_calls import Answer, make_call
from .litellm_params import arguments_of
from .merge import credential_names, merge
from .model_test_text import cut_secrets, echo_texts, secret_texts
from .outbound import Outbound
from .providers import describe
from .references import PREFIX
from .stored import read_stored
from .validation import can_be_stored, validate_input

MAX_ANSWER_LENGTH: Final = 2_000
MAX_MESSAGE_LENGTH: Final = 1_000


class ModelTestProblem(Enum):
    """Why a test failed. The values are in stored audit rows: none is ever renamed."""

    MISSING_SECRET = "missing_secret"  # noqa: S105 - a word
    INVALID_CONFIG = "invalid_config"
    UNSUPPORTED = "unsupported"
    BLOCKED = "blocked"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    AUTHENTICATION = "authentication"
    NOT_FOUND = "not_found"
    RATE_LIMIT = "rate_limit"
    BAD_REQUEST = "bad_request"
    PROVIDER = "provider"
    BAD_ANSWER = "bad_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTestRequest:
    """What to try: `given`, laid over the config `config_id` if there is one."""

    config_id: str | None
    given: ModelConfigInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTestOutcome:
    """What a test found out. `problem` None is success; `message` says more of a problem, and holds no secret.

    `latency_seconds` is that of the call, None when none was made. `answer` is the model's text, empty when it only
    called the tool, None without an answer; `tool_called` says whether it called the tool that it was given. Tokens are
    None when the provider did not count them.
    """

    problem: ModelTestProblem | None = None
    message: str | None = None
    latency_seconds: float | None = None
    answer: str | None = field(default=None, repr=False)
    tool_called: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@translates_store_errors
async def run_model_test(context: Context, request: ModelTestRequest) -> ModelTestOutcome:
    """Make the call. Raises Forbidden, NotFound, InvalidInput, LimitExceeded, Unavailable."""
    context.principal.require(Scope.MODEL_CONFIG_TEST)
    config = None if request.config_id is None else await _find(context, request.config_id)
    draft = _draft(context, config, request.given)
    try:
        # Without a stored config all secrets are the caller's own.
        hidden = secret_texts(draft.secrets) | (frozenset() if config is None else echo_texts(draft))
        outcome = await _try_out(context.outbound, draft, hidden)
    except (Unavailable, asyncio.CancelledError) as error:
        # The call may have been made, and then nobody waited for it.
        told = "unavailable" if isinstance(error, Unavailable) else "cancelled"
        await context.store.audit_log.record([_event(context, config, draft, told)])
        raise
    told = "success" if outcome.problem is None else outcome.problem.value
    await context.store.audit_log.record([_event(context, config, draft, told)])
    return outcome


async def _find(context: Context, config_id: str) -> ModelConfig:
    config = await context.store.find(id=config_id) if can_be_stored(config_id) else None
    if config is None or not context.principal.aliases.allows(config.alias):
        raise no_such_config()
    return config


def _draft(context: Context, config: ModelConfig | None, given: ModelConfigInput) -> ModelConfigDraft:
    """What is to be tried. Raises InvalidInput."""
    validate_input(given)
    base, lost = ModelConfigDraft(alias=""), None
    if config is not None:
        stored = read_stored(config, context.store.open_secrets)
        base, lost = stored.draft, stored.lost
    draft = merge(base, given, lost=lost).draft
    _require_own_credentials(base, draft, given)
    for name, value in (("provider", draft.provider), ("model", draft.model)):
        if value is None:
            raise InvalidInput(f"a test needs a {name}", ("input", name))
    for name in sorted({*draft.params, *draft.secrets.params}):
        if name.startswith("mock_"):
            raise InvalidInput(f"with {name} LiteLLM answers by itself, which tests nothing", ("input", "params", name))
    return draft


def _require_own_credentials(base: ModelConfigDraft, draft: ModelConfigDraft, given: ModelConfigInput) -> None:
    """Raise InvalidInput for stored credentials that were dropped on the way, and about which `given` says nothing."""
    where = "belong to another provider, kind of auth or address: they must be in the request"
    if isinstance(given.auth, Unset) or (isinstance(given.auth, AuthInput) and given.auth.type is base.auth.type):
        told = set() if isinstance(given.auth, Unset) else set(given.auth.values)
        if credential_names(base.auth) - told - set(draft.auth.fields) - set(draft.auth.hints):
            raise InvalidInput(f"the stored credentials {where}", ("input", "auth"))
    if given.params is not None:
        named = set(given.params) if isinstance(given.params, Mapping) else set()
        if missing := set(base.secrets.params) - set(draft.secrets.params) - named:
            raise InvalidInput(
                f"the stored values of {', '.join(sorted(missing))} {where}, null for none",
                ("input", "params"),
            )


async def _try_out(outbound: Outbound, draft: ModelConfigDraft, hidden: frozenset[str]) -> ModelTestOutcome:
    arguments = arguments_of(draft)
    if reference := next(_references("", arguments), None):
        return ModelTestOutcome(
            problem=ModelTestProblem.MISSING_SECRET,
            message=f"{reference} is a reference, which only components resolve: give a value in the request",
        )
    if draft.auth.type is AuthType.GCP_SERVICE_ACCOUNT and not _is_key_file(draft):
        return ModelTestOutcome(
            problem=ModelTestProblem.UNSUPPORTED,
            message="the credentials are no key file of a service account; others are used in components only",
        )
    answer = await make_call(outbound, "chat", {"litellm_params": arguments}, only=_targets(draft))
    # To look for so many secrets takes a second.
    return await asyncio.to_thread(_outcome, outbound, answer, hidden)


def _outcome(outbound: Outbound, answer: Answer, hidden: frozenset[str]) -> ModelTestOutcome:
    content = answer.content
    if content is not None and "problem" not in content:
        return ModelTestOutcome(
            latency_seconds=content["seconds"],
            answer=cut_secrets(content["text"], hidden, max_length=MAX_ANSWER_LENGTH),
            tool_called=content["tool_called"],
            prompt_tokens=_count(content["prompt_tokens"]),
            completion_tokens=_count(content["completion_tokens"]),
        )
    if content is None or content["problem"] == "timeout":
        seconds = outbound.policy.litellm_timeout_seconds
        problem, message = ModelTestProblem.TIMEOUT, f"there was no whole answer within {seconds:g} seconds"
    else:
        problem, message = ModelTestProblem(content["problem"]), content["message"]
    if answer.problem is not None:
        # The proxy knows why nothing was reached, which the libraries call this or that.
        problem, message = ModelTestProblem(answer.problem.problem.value), answer.problem.message
    return ModelTestOutcome(
        problem=problem,
        message=cut_secrets(message, hidden, max_length=MAX_MESSAGE_LENGTH),
        latency_seconds=None if content is None else content["seconds"],
    )


def _count(tokens: Json) -> int | None:
    """None for what counts no tokens: a provider may answer anything, and GraphQL has integers of 32 bits."""
    return tokens if isinstance(tokens, int) and 0 <= tokens < 2**31 else None


def _references(path: str, value: Json) -> Iterator[str]:
    """Where something stands that a component would take from its environment."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _references(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _references(f"{path}[{index}]", inner)
    elif isinstance(value, str) and value.startswith((PREFIX, "oidc/")):
        yield path


def _is_key_file(draft: ModelConfigDraft) -> bool:
    # Others name files, addresses and commands from which the credentials come.
    text = draft.secrets.auth.get("credentials_json")
    return text is None or json.loads(text).get("type") == "service_account"


def _token_uri(draft: ModelConfigDraft) -> object:
    """Where the key file of a service account says that tokens are fetched; None without one."""
    text = draft.secrets.auth.get("credentials_json")
    return None if text is None else json.loads(text).get("token_uri")


_AZURE_SIGN_IN: Final[Target] = ("login.microsoftonline.com", 443)


def _targets(draft: ModelConfigDraft) -> frozenset[Target] | None:
    """Where a call of this config goes, None when only LiteLLM knows: a redirect leads nowhere else then."""
    provider = describe(draft.provider or "")
    if provider is None or not provider.common:
        return None
    api_base = draft.api_base or provider.default_api_base
    if api_base is None:
        return None
    addresses = [api_base, draft.auth.fields.get("token_url"), _token_uri(draft)]
    found = {target_of(address) for address in addresses if isinstance(address, str)}
    return frozenset(found | {_AZURE_SIGN_IN} if provider.name == "azure" else found)


def _event(context: Context, config: ModelConfig | None, draft: ModelConfigDraft, outcome: str) -> AuditEvent:
    tested: dict[str, Json] = {"outcome": outcome, "provider": draft.provider}
    if config is not None:
        tested |= {"id": config.id, "alias": config.alias, "version": config.version}
    if draft.api_base is not None and not draft.api_base.startswith(PREFIX):
        tested["host"] = urlsplit(draft.api_base).hostname
    return AuditEvent(action=AuditAction.MODEL_CONFIG_TEST, actor=context.principal.subject, details=tested)
