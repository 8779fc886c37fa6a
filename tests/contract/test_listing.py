"""Lists by the page: in every order and direction, narrowed, and while configs come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from modelwire.store import (
    DEFAULT_ALIASES,
    AliasPatterns,
    Listing,
    ModelConfig,
    ModelConfigDraft,
    OrderBy,
    Selector,
    Store,
)

CHUNKS = pytest.mark.parametrize("chunk_rows", [1, 2, 1_000])


async def write(store: Store, *drafts: ModelConfigDraft) -> list[ModelConfig]:
    async with store.transaction(by="x") as transaction:
        return [await transaction.create(draft) for draft in drafts]


async def change(store: Store, alias: str, **fields: Any) -> None:
    async with store.transaction(by="x") as transaction:
        config = await transaction.find(alias=alias)
        assert config is not None
        await transaction.update(config, ModelConfigDraft(**{"alias": alias, "provider": config.provider, **fields}))


async def delete(store: Store, alias: str) -> None:
    async with store.transaction(by="x") as transaction:
        config = await transaction.find(alias=alias)
        assert config is not None
        await transaction.delete(config)


async def pages(store: Store, listing: Listing, size: int) -> AsyncIterator[list[str]]:
    after = None
    while page := await store.page(listing, first=size, after=after):
        yield [config.alias for config in page]
        after = listing.place_of(page[-1])


async def everything(store: Store, listing: Listing, size: int = 100) -> list[str]:
    return [alias async for page in pages(store, listing, size) for alias in page]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("order_by", "key"),
    [
        (OrderBy.ALIAS, lambda config: config.alias),
        (OrderBy.UPDATED_AT, lambda config: (config.revision, config.alias)),
        (OrderBy.PROVIDER, lambda config: (config.provider or "", config.alias)),
    ],
)
async def test_pages_together_are_the_sorted_list(
    store: Store, order_by: OrderBy, key: Callable[[ModelConfig], Any], size: int, descending: bool
) -> None:
    aliases = ["Z", "a", "A", "b/1", "b.1", "é", "z", "\U0001f600", "\uffee"]
    providers = ["openai", None, "azure", "openai", "ollama"]
    # Two transactions, each at one revision: both keys of an order decide.
    drafts = [ModelConfigDraft(alias=alias, provider=providers[i % 5]) for i, alias in enumerate(aliases)]
    await write(store, *drafts[:4])
    await write(store, *drafts[4:])
    await change(store, "A", description="later")
    expected = sorted([*(await store.snapshot(Selector())).configs], key=key, reverse=descending)
    listing = Listing(order_by=order_by, descending=descending)
    assert await everything(store, listing, size) == [config.alias for config in expected]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order_by", list(OrderBy))
async def test_a_place_stays_when_configs_come_and_go(store: Store, order_by: OrderBy, descending: bool) -> None:
    await write(store, *(ModelConfigDraft(alias=alias, provider=alias[0]) for alias in ("b1", "d1", "f1", "h1")))
    listing = Listing(order_by=order_by, descending=descending, search="1")
    first = await store.page(listing, first=2)
    seen = [config.alias for config in first]
    after = listing.place_of(first[-1])
    rest = [config.alias for config in await store.page(listing, first=100, after=after)]
    assert sorted(seen + rest) == ["b1", "d1", "f1", "h1"]
    # The config that the cursor stands for is deleted, another one too, and new ones are made.
    await delete(store, seen[-1])
    await delete(store, rest[0])
    await write(store, *(ModelConfigDraft(alias=alias, provider=alias[0]) for alias in ("a1", "e1", "i1")))
    now = [config.alias for config in await store.page(listing, first=100, after=after)]
    assert [alias for alias in now if alias in rest] == rest[1:]
    assert set(now).isdisjoint(seen)
    forward = [config.alias for config in await store.page(listing, first=100) if config.alias not in seen]
    assert now == forward[forward.index(now[0]) :], "a page behind a place is the end of the whole list"


@CHUNKS
async def test_a_page_is_full_whenever_there_are_enough(
    store: Store, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr("modelwire.store.listing._CHUNK_ROWS", chunk_rows)
    await write(store, *(ModelConfigDraft(alias=alias) for alias in ("a/1", "b/1", "b/2", "c/1", "c/2", "d")))

    async def page(*patterns: str, first: int = 100, after: str | None = None) -> list[str]:
        listing = Listing(visible=AliasPatterns(patterns))
        configs = await store.page(listing, first=first, after=None if after is None else (after,))
        return [config.alias for config in configs]

    assert await page("*/2", first=2) == ["b/2", "c/2"]
    assert await page("*/2", first=1) == ["b/2"]
    assert await page("*/2", first=1, after="b/2") == ["c/2"]
    assert await page("*/2", "d") == ["b/2", "c/2", "d"]
    assert await page("d", "a/1", "none") == ["a/1", "d"]
    assert await page("d", "a/1", "none", first=1, after="a/1") == ["d"]
    assert await page() == []


@CHUNKS
@pytest.mark.parametrize("order_by", list(OrderBy))
async def test_filters(store: Store, monkeypatch: pytest.MonkeyPatch, chunk_rows: int, order_by: OrderBy) -> None:
    monkeypatch.setattr("modelwire.store.listing._CHUNK_ROWS", chunk_rows)
    await write(
        store,
        ModelConfigDraft(alias="one", provider="openai", model="GPT-5-Mini"),
        ModelConfigDraft(alias="two", provider="ollama", description="our gpt-5-mini in der STRASSE"),
        ModelConfigDraft(alias="three", provider="openai"),
        ModelConfigDraft(alias="four", model="100%_"),
    )

    async def found(**narrowed: Any) -> set[str]:
        return set(await everything(store, Listing(order_by=order_by, **narrowed), size=1))

    assert await found() == {"one", "two", "three", "four", *DEFAULT_ALIASES}
    assert await found(search="gpt-5-MINI") == {"one", "two"}
    assert await found(search="straße") == {"two"}
    assert await found(search="%_") == {"four"}
    assert await found(search="O", provider="openai") == {"one"}
    assert await found(provider="openai") == {"one", "three"}
    assert await found(provider="open") == set()
    assert await found(provider="") == set()
    assert await found(configured=True) == {"one"}
    assert await found(configured=False) == {"two", "three", "four", *DEFAULT_ALIASES}
    assert await found(configured=False, provider="ollama") == {"two"}
    assert await found(is_default=True) == set(DEFAULT_ALIASES)
    assert await found(is_default=False, visible=AliasPatterns(("t*", "general"))) == {"two", "three"}
