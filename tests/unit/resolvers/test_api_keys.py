"""API keys: what they look like, who shows one, and the first one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal, Scope
from modelwire.resolvers.api_keys import (
    ApiKeyInput,
    CreatedApiKey,
    create_api_key,
    ensure_admin_key,
    recover_admin_key,
    verify_api_key,
)
from modelwire.resolvers.errors import InvalidInput, Unauthenticated
from modelwire.store import AliasPatterns, ApiKey, AuditAction, StoreError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
GIVEN = "mw_" + "a1" * 5 + "_" + "0f" * 32


class Keys:
    """The part of a store that API keys need, in memory."""

    id = "fake"

    def __init__(self) -> None:
        self.kept: dict[str, ApiKey] = {}
        self.actions: list[AuditAction] = []
        self.used: list[str] = []
        self.api_keys: Any = self

    async def add(
        self, key: ApiKey, *, action: AuditAction = AuditAction.API_KEY_CREATE, only_first: bool = False
    ) -> bool:
        if only_first and self.kept:
            return False
        self.actions.append(action)
        if key.id in self.kept:
            raise StoreError("there is one")
        self.kept[key.id] = key
        return True

    async def find(self, key_id: str) -> ApiKey | None:
        return self.kept.get(key_id)

    def note_use(self, key_id: str, _at: datetime) -> None:
        self.used.append(key_id)

    async def any(self) -> bool:
        return bool(self.kept)


@pytest.fixture
def store() -> Any:
    return Keys()


async def make(store: Any, **fields: Any) -> CreatedApiKey:
    admin = Principal(subject="api_key:admin", name="admin", scopes=ALL_SCOPES)
    given = ApiKeyInput(**({"name": "n", "scopes": (Scope.MODEL_CONFIG_READ.value,)} | fields))
    return await create_api_key(Context(admin, store, None), given)  # type: ignore[arg-type]


async def test_form_and_hash(store: Any) -> None:
    created = await make(store)
    match = re.fullmatch(r"mw_([a-z0-9]{10})_([0-9a-f]{64})", created.secret)
    assert match is not None
    assert match[1] == created.key.id
    assert created.key.secret_hash == hashlib.sha256(match[2].encode()).hexdigest()
    assert match[2] not in repr(created)
    assert match[2] not in repr(store.kept)
    assert (await make(store)).secret != created.secret


async def test_a_scope_that_does_not_exist_is_named_with_those_that_do(store: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^scopes holds 'model_config:reed', .*model_config:read, ") as caught:
        await make(store, scopes=("component:read", "model_config:reed"))
    assert caught.value.path == ("input", "scopes")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2090-01-01T00:00:00", "time zone"),
        ("2020-01-01T00:00:00Z", "in the future"),
        ("0001-01-01T00:00:00+14:00", "in the future"),
        ("9999-01-01T00:00:00Z", "before the year 9999"),
        # In UTC it is of a year that there is not.
        ("9999-12-31T23:59:59-14:00", "before the year 9999"),
    ],
)
async def test_an_expiry_is_a_moment_to_come(store: Any, text: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what) as caught:
        await make(store, expires_at=datetime.fromisoformat(text))
    assert caught.value.path == ("input", "expiresAt")
    assert store.kept == {}


async def test_the_answer_says_in_utc_when_a_key_ends(store: Any) -> None:
    created = await make(store, expires_at=datetime.fromisoformat("2090-01-01T05:30:00+05:30"))
    ends = created.key.expires_at
    assert ends is not None
    assert (ends, ends.tzinfo) == (datetime(2090, 1, 1, tzinfo=UTC), UTC)


async def test_who_shows_a_key(store: Any) -> None:
    end = datetime(2090, 1, 1, tzinfo=UTC)
    created = await make(store, name="orders", aliases=("a", "b*", "a"), expires_at=end)
    assert await verify_api_key(store, created.secret, NOW) == Principal(
        subject=f"api_key:{created.key.id}",
        name="orders",
        scopes=frozenset({Scope.MODEL_CONFIG_READ}),
        aliases=AliasPatterns(("a", "b*")),
        credential=f"api_key:{created.key.id}",
        expires_at=end,
    )


async def test_a_key_is_used_when_it_is_accepted(store: Any) -> None:
    created = await make(store, expires_at=datetime(2090, 1, 1, tzinfo=UTC))
    for token, now in ((f"mw_{created.key.id}_{'0' * 64}", NOW), (created.secret, datetime(2090, 1, 1, tzinfo=UTC))):
        with pytest.raises(Unauthenticated):
            await verify_api_key(store, token, now)
    assert store.used == []
    await verify_api_key(store, created.secret, NOW)
    assert store.used == [created.key.id]


@pytest.mark.parametrize(
    "token", ["", "mw_", "x", GIVEN + "0", GIVEN.upper(), GIVEN + "\n", "mw_" + "\uff41" * 10 + "_" + "0" * 64]
)
async def test_what_is_no_key(store: Any, token: str) -> None:
    with pytest.raises(Unauthenticated, match="mw_<id>_<secret>"):
        await verify_api_key(store, token, NOW)


async def test_wrong_secret_and_unknown_id_are_told_alike(store: Any) -> None:
    created = await make(store)
    texts = set()
    for token in (f"mw_{created.key.id}_{'0' * 64}", f"mw_{'z' * 10}_{created.secret[-64:]}"):
        with pytest.raises(Unauthenticated) as refused:
            await verify_api_key(store, token, NOW)
        texts.add(str(refused.value))
    assert len(texts) == 1


async def test_expired_and_revoked(store: Any) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    created = await make(store, expires_at=end)
    await verify_api_key(store, created.secret, end - timedelta(microseconds=1))
    with pytest.raises(Unauthenticated, match="expired"):
        await verify_api_key(store, created.secret, end)
    store.kept[created.key.id] = replace(created.key, revoked_at=NOW)
    with pytest.raises(Unauthenticated, match="revoked"):
        await verify_api_key(store, created.secret, NOW)


async def test_scopes_of_a_newer_version_are_not_granted(store: Any) -> None:
    created = await make(store)
    store.kept[created.key.id] = replace(created.key, scopes=frozenset({"model_config:read", "future:scope"}))
    assert (await verify_api_key(store, created.secret, NOW)).scopes == {Scope.MODEL_CONFIG_READ}


class TestAdminKey:
    async def test_the_way_back_in_is_a_new_one_and_told_apart(self, store: Any) -> None:
        made = await ensure_admin_key(store, None)
        recovered = await recover_admin_key(store)
        assert recovered.secret != made
        assert recovered.secret not in repr(recovered)
        assert (await verify_api_key(store, recovered.secret, NOW)).scopes == ALL_SCOPES
        assert (recovered.key.created_by, recovered.key.expires_at, recovered.key.aliases.patterns) == (
            "system",
            None,
            None,
        )
        assert store.actions == [AuditAction.API_KEY_CREATE, AuditAction.API_KEY_RECOVER]

    async def test_the_first_start_makes_one_and_later_ones_do_not(self, store: Any) -> None:
        made = await ensure_admin_key(store, None)
        assert made is not None
        principal = await verify_api_key(store, made, NOW)
        assert principal.scopes == ALL_SCOPES
        assert principal.aliases.patterns is None
        assert await ensure_admin_key(store, None) is None
        assert len(store.kept) == 1

    async def test_a_given_one_is_taken_and_never_told(self, store: Any) -> None:
        assert await ensure_admin_key(store, GIVEN) is None
        assert (await verify_api_key(store, GIVEN, NOW)).scopes == ALL_SCOPES
        assert await ensure_admin_key(store, GIVEN) is None
        assert await ensure_admin_key(store, None) is None
        assert len(store.kept) == 1

    async def test_a_new_given_one_is_taken_beside_the_others(self, store: Any) -> None:
        await ensure_admin_key(store, None)
        await ensure_admin_key(store, GIVEN)
        assert (await verify_api_key(store, GIVEN, NOW)).scopes == ALL_SCOPES

    async def test_a_revoked_one_stays_revoked(self, store: Any) -> None:
        await ensure_admin_key(store, GIVEN)
        (key,) = store.kept.values()
        store.kept[key.id] = replace(key, revoked_at=NOW)
        await ensure_admin_key(store, GIVEN)
        with pytest.raises(Unauthenticated):
            await verify_api_key(store, GIVEN, NOW)

    @pytest.mark.parametrize("given", ["", "secret-canary", GIVEN[:-1], GIVEN.replace("0f", "0F")])
    async def test_a_malformed_one_is_refused(self, store: Any, given: str) -> None:
        with pytest.raises(InvalidInput, match="mw_<id>_<secret>") as refused:
            await ensure_admin_key(store, given)
        assert "canary" not in str(refused.value)
        assert store.kept == {}

    async def test_an_id_with_another_secret_is_refused(self, store: Any) -> None:
        await ensure_admin_key(store, GIVEN)
        with pytest.raises(InvalidInput, match="another API key"):
            await ensure_admin_key(store, GIVEN[:-1] + "0")

    async def test_of_two_servers_that_start_at_once_both_go_on(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = [None]

        async def find(key_id: str) -> ApiKey | None:
            return answers.pop() if answers else store.kept.get(key_id)

        other = Keys()
        await ensure_admin_key(other, GIVEN)  # type: ignore[arg-type]
        store.kept.update(other.kept)
        monkeypatch.setattr(store, "find", find)
        assert await ensure_admin_key(store, GIVEN) is None

    async def test_of_two_servers_that_start_at_once_one_makes_it(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def none_so_far() -> bool:
            return False

        monkeypatch.setattr(store, "any", none_so_far)
        assert await ensure_admin_key(store, None) is not None
        assert await ensure_admin_key(store, None) is None
        assert len(store.kept) == 1
