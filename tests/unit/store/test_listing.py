"""What a page costs, as SQLite plans it: the plan says that without a clock."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import sqlite

from modelwire.store import Listing, OrderBy, Place
from modelwire.store.listing import _KEYS, _page_of_keys
from modelwire.store.tables import metadata


def plan(listing: Listing, after: Place | None) -> list[str]:
    engine = create_engine("sqlite://")
    statement = _page_of_keys(listing, _KEYS[listing.order_by], after).limit(51)
    sql = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        metadata.create_all(connection)
        steps = [str(row[3]) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
    engine.dispose()
    return steps


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("after", [None, ("x",)])
@pytest.mark.parametrize("narrowed", [{}, {"provider": "openai"}, {"configured": False}, {"is_default": False}])
def test_by_alias_no_more_is_read_than_the_page(
    after: Place | None, descending: bool, narrowed: dict[str, object]
) -> None:
    first, *others = plan(Listing(descending=descending, **narrowed), after)  # type: ignore[arg-type]
    assert "model_configs USING INDEX" in first
    assert first.startswith("SEARCH" if after else "SCAN")
    assert all(step.startswith("SEARCH") for step in others), "nothing is sorted"


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("after", [None, (5, "x")])
def test_by_change_the_log_is_walked_from_the_place_on(after: Place | None, descending: bool) -> None:
    first, *others = plan(Listing(order_by=OrderBy.UPDATED_AT, descending=descending), after)
    assert "model_config_changes USING INDEX model_config_changes_revision" in first
    assert first.startswith("SEARCH" if after else "SCAN")
    # Only what one revision made is sorted, by alias.
    assert others[-1].startswith("USE TEMP B-TREE FOR RIGHT PART OF ORDER BY") or "LAST TERM" in others[-1]


@pytest.mark.parametrize("after", [None, ("openai", "x")])
def test_by_provider_current_configs_are_read_and_not_their_history(after: Place | None) -> None:
    steps = plan(Listing(order_by=OrderBy.PROVIDER), after)
    assert [step for step in steps if step.startswith("SCAN")] == ["SCAN model_configs"]
