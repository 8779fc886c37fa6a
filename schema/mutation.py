"""What can be changed."""

from typing import Annotated

import strawberry

from ..resolvers import (
    acknowledgements,
    api_key_admin,
    api_keys,
    history,
    model_config_import,
    model_configs,
    model_test,
    sessions,
)
from . import results
from . import sessions as session_types
from .acknowledgements import (
    AcknowledgeModelConfigInput,
    AcknowledgeModelConfigPayload,
    AcknowledgeModelConfigResult,
)
from .api_keys import RevokeApiKeyInput, RevokeApiKeyPayload, RevokeApiKeyResult
from .base import Info, described
from .errors import answer
from .inputs import (
    CreateApiKeyInput,
    CreateModelConfigInput,
    DeleteModelConfigInput,
    ImportModelConfigsInput,
    RollbackModelConfigInput,
    UpdateModelConfigInput,
)
from .model_test import TestModelConfigInput, TestModelConfigPayload, TestModelConfigResult

_INPUT = strawberry.argument(name="input", description="What is wanted.")


@strawberry.type(description="What can be changed. A mutation that answers with an error has changed nothing.")
class Mutation:
    @described("Make a model config. Needs `model_config:write`.")
    async def create_model_config(
        self, info: Info, given: Annotated[CreateModelConfigInput, _INPUT]
    ) -> results.CreateModelConfigResult:
        created = model_configs.create(info.context, given.to_input(), validate_only=bool(given.validate_only))
        return await answer(created, results.CreateModelConfigPayload.of)

    @described("Change a model config. Needs `model_config:write`.")
    async def update_model_config(
        self, info: Info, given: Annotated[UpdateModelConfigInput, _INPUT]
    ) -> results.UpdateModelConfigResult:
        updated = model_configs.update(
            info.context,
            id=given.id,
            expected_version=given.expected_version,
            given=given.to_input(),
            validate_only=bool(given.validate_only),
        )
        return await answer(updated, results.UpdateModelConfigPayload.of)

    @described(
        "Delete a model config. While components that are connected use it, that needs `force`; they are left without. "
        "Needs `model_config:write`."
    )
    async def delete_model_config(
        self, info: Info, given: Annotated[DeleteModelConfigInput, _INPUT]
    ) -> results.DeleteModelConfigResult:
        deleted = model_configs.delete(
            info.context, id=given.id, expected_version=given.expected_version, force=bool(given.force)
        )
        return await answer(deleted, results.DeleteModelConfigPayload.of)

    @described(
        "Give a model config the content of an old version, as a new version. Its credentials stay if provider, kind "
        "of auth and address are the same, and are dropped otherwise; old ones never come back. Needs "
        "`model_config:write`."
    )
    async def rollback_model_config(
        self, info: Info, given: Annotated[RollbackModelConfigInput, _INPUT]
    ) -> results.RollbackModelConfigResult:
        rolled_back = history.rollback(
            info.context, id=given.id, expected_version=given.expected_version, to_version=given.to_version
        )
        return await answer(rolled_back, results.RollbackModelConfigPayload.of)

    @described(
        "Take over the model configs of a file, all at one revision. Entries that cannot be taken are skipped, each "
        "with its reason. An existing config keeps its description and credentials where the file gives none. Needs "
        "`model_config:write`."
    )
    async def import_model_configs(
        self, info: Info, given: Annotated[ImportModelConfigsInput, _INPUT]
    ) -> results.ImportModelConfigsResult:
        imported = model_config_import.import_model_configs(info.context, given.to_request())
        return await answer(imported, results.ImportModelConfigsPayload.of)

    @described(
        "Try a model config before it is trusted: one real call with a system prompt and a tool, by the code that "
        "components make calls with, in a process of its own. Nothing is stored but an entry of the audit log. "
        "References are not resolved here. It is ended when its operation is. Needs `model_config:test`."
    )
    async def test_model_config(
        self, info: Info, given: Annotated[TestModelConfigInput, _INPUT]
    ) -> TestModelConfigResult:
        tested = model_test.run_model_test(info.context, given.to_request())
        return await answer(tested, TestModelConfigPayload.of)

    @described(
        "Say, as a component, what became of a version that it was sent. Components that are quick say so together: "
        "the answer comes when all of it is written, some tenths of a second later. Needs `component:report`."
    )
    async def acknowledge_model_config(
        self, info: Info, given: Annotated[AcknowledgeModelConfigInput, _INPUT]
    ) -> AcknowledgeModelConfigResult:
        acknowledged = acknowledgements.acknowledge(info.context, given.to_request())
        return await answer(acknowledged, AcknowledgeModelConfigPayload.of)

    @described("Make an API key, whose secret is shown this once. Needs `api_key:admin`.")
    async def create_api_key(
        self, info: Info, given: Annotated[CreateApiKeyInput, _INPUT]
    ) -> results.CreateApiKeyResult:
        created = api_keys.create_api_key(info.context, given.to_request())
        return await answer(created, results.CreateApiKeyPayload.of)

    @described(
        "Revoke an API key, for ever: websockets and streams that it opened are closed, on every server, within two "
        "seconds. Needs `api_key:admin`, and every scope of the key that is revoked."
    )
    async def revoke_api_key(self, info: Info, given: Annotated[RevokeApiKeyInput, _INPUT]) -> RevokeApiKeyResult:
        revoked = api_key_admin.revoke(info.context, id=given.id, force=bool(given.force))
        return await answer(revoked, RevokeApiKeyPayload.of)

    @described(
        "Begin a session: show an API key once, and use short-lived tokens from then on. Needs no credential; attempts "
        "are limited by the address that they come from."
    )
    async def sign_in(
        self, info: Info, given: Annotated[session_types.SignInInput, _INPUT]
    ) -> session_types.SignInResult:
        signed_in = sessions.sign_in(info.context, api_key=given.api_key, cookie=bool(given.cookie))
        return await answer(signed_in, session_types.SignInPayload.of)

    @described(
        "Stay signed in: a refresh token is taken once, for an access token and the next refresh token. One that is "
        "shown again ends the session, as somebody else may have it. Needs no other credential."
    )
    async def refresh_session(
        self, info: Info, given: Annotated[session_types.RefreshSessionInput, _INPUT]
    ) -> session_types.RefreshSessionResult:
        refreshed = sessions.refresh_session(info.context, refresh_token=given.refresh_token)
        return await answer(refreshed, session_types.RefreshSessionPayload.of)

    @described("Sign out: end the session of the access token that this is sent with, and what it has open.")
    async def sign_out(
        self, info: Info, given: Annotated[session_types.SignOutInput, _INPUT]
    ) -> session_types.SignOutResult:
        ended = sessions.sign_out(info.context, everywhere=bool(given.everywhere))
        return await answer(ended, lambda count: session_types.SignOutPayload(ended_sessions=count))
