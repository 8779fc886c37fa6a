"""What the change log tells of one config."""

from __future__ import annotations

from modelwire.store import ModelConfigDraft, Operation, Secrets, Store


async def test_every_version_is_there_newest_first_with_its_own_secrets(store: Store) -> None:
    config = None
    for number in range(5):
        async with store.transaction(by=f"writer-{number}") as transaction:
            secrets = Secrets(auth={"api_key": f"secret-{number}"})
            draft = ModelConfigDraft(alias="a", description=f"{number}", secrets=secrets)
            config = await (transaction.update(config, draft) if config else transaction.create(draft))
            await transaction.create(ModelConfigDraft(alias=f"other-{number}"))
    assert config is not None
    versions = await store.history(config.id, first=100)
    assert [change.version for change in versions] == [5, 4, 3, 2, 1]
    assert [change.by for change in versions] == [f"writer-{number}" for number in (4, 3, 2, 1, 0)]
    assert versions[0].config == config == await store.find(alias="a")
    for number, change in enumerate(reversed(versions)):
        assert change.config is not None
        assert change.config.description == f"{number}"
        assert store.open_secrets(change.config).auth == {"api_key": f"secret-{number}"}
    assert await store.history(config.id, first=2) == versions[:2]
    assert await store.history(config.id, first=2, before=4) == versions[2:4]
    assert await store.history(config.id, first=2, before=1) == []
    assert await store.history("unknown", first=2) == []


async def test_a_deletion_stays_the_last_version(store: Store) -> None:
    async with store.transaction(by="x") as transaction:
        config = await transaction.create(ModelConfigDraft(alias="a"))
    async with store.transaction(by="y") as transaction:
        deletion = await transaction.delete(config)
    async with store.transaction(by="z") as transaction:
        again = await transaction.create(ModelConfigDraft(alias="a"))
    versions = await store.history(config.id, first=10)
    assert versions[0] == deletion
    assert [(change.version, change.operation, change.by) for change in versions] == [
        (2, Operation.DELETE, "y"),
        (1, Operation.CREATE, "x"),
    ]
    assert [change.config for change in await store.history(again.id, first=10)] == [again]


async def test_a_transaction_finds_old_versions(store: Store) -> None:
    async with store.transaction(by="x") as transaction:
        first = await transaction.create(ModelConfigDraft(alias="a"))
        second = await transaction.update(first, ModelConfigDraft(alias="b"))
        await transaction.delete(second)
        assert await transaction.find_version(first.id, 1) == first
        assert await transaction.find_version(first.id, 2) == second
        for version in (0, 3, 4):
            assert await transaction.find_version(first.id, version) is None
        assert await transaction.find_version("unknown", 1) is None
