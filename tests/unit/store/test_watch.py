"""The core of a watch against a model: whatever happens in between, what was taken adds up to the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from stored import NOW, model_config

from modelwire.store.records import AliasPatterns, Change, ModelConfig, Operation, Position, Selector
from modelwire.store.watch import PendingChanges, RemovedConfig, Watch, WatchIndex

ALIASES = ["general", "planning", "team/a", "team/b"]
SELECTORS = [
    Selector(),
    Selector(aliases=frozenset({"general"})),
    Selector(aliases=frozenset({"general", "planning"})),
    Selector(ids=frozenset({"c1"})),
    Selector(ids=frozenset({"c1", "c2"}), aliases=frozenset({"team/a"})),
    Selector(visible=AliasPatterns(("team/*",))),
    Selector(ids=frozenset({"c1"}), visible=AliasPatterns(("general",))),
]


def change(revision: int, config_id: str, before: str | None, after: str | None, version: int = 1) -> Change:
    operation = Operation.DELETE if after is None else Operation.CREATE if before is None else Operation.UPDATE
    return Change(
        revision=revision,
        config_id=config_id,
        version=version,
        operation=operation,
        previous_alias=before,
        config=model_config(config_id, after, version, revision) if after else None,
        at=NOW,
        by="test",
    )


@dataclass
class Subscriber:
    """A watch, and the replica of somebody who does as the events say."""

    watch: Watch
    replica: dict[str, ModelConfig] = field(default_factory=dict)

    def take(self, revision: int) -> None:
        event = self.watch.take(Position("store", revision))
        if event is None:
            return
        for removed in event.removed:
            assert self.replica.pop(removed.id).alias == removed.alias
        for put in event.put:
            held = self.replica.get(put.id)
            assert held is None or put.version > held.version
            self.replica[put.id] = put


class WatchMachine(RuleBasedStateMachine):
    """Writers change configs in transactions of several changes; subscribers come, read, stay away and resume."""

    subscribers: Bundle[Subscriber] = Bundle("subscribers")

    @initialize()
    def begin(self) -> None:
        self.index = WatchIndex()
        self.truth: dict[str, ModelConfig] = {}
        self.versions: dict[str, int] = {}
        self.log: list[Change] = []
        self.revision = 0
        self.all: list[Subscriber] = []

    def visible(self, selector: Selector) -> dict[str, ModelConfig]:
        return {key: value for key, value in self.truth.items() if selector.matches(key, value.alias)}

    @rule(
        steps=st.lists(
            st.tuples(st.sampled_from(["c1", "c2", "c3"]), st.sampled_from([*ALIASES, None])), min_size=1, max_size=4
        )
    )
    def transaction(self, steps: list[tuple[str, str | None]]) -> None:
        self.revision += 1
        written: set[str] = set()
        for config_id, alias in steps:
            before = self.truth.get(config_id)
            taken = any(other.alias == alias and other.id != config_id for other in self.truth.values())
            if config_id in written or taken or (before is None and alias is None):
                continue
            written.add(config_id)
            self.versions[config_id] = self.versions.get(config_id, 0) + 1
            made = change(
                self.revision, config_id, before.alias if before else None, alias, version=self.versions[config_id]
            )
            self.log.append(made)
            if made.config is None:
                del self.truth[config_id]
            else:
                self.truth[config_id] = made.config
            for watch in self.index.concerned(made):
                watch.offer(made)

    @rule(target=subscribers, selector=st.sampled_from(SELECTORS))
    def subscribe(self, selector: Selector) -> Subscriber:
        subscriber = Subscriber(Watch(selector), dict(self.visible(selector)))
        self.index.add(subscriber.watch)
        self.all.append(subscriber)
        return subscriber

    @rule(target=subscribers, selector=st.sampled_from(SELECTORS), data=st.data())
    def subscribe_while_writers_go_on(self, selector: Selector, data: st.DataObject) -> Subscriber:
        """The watch is registered, changes go on, and then the snapshot of some revision in between arrives."""
        subscriber = Subscriber(Watch(selector))
        self.index.add(subscriber.watch)
        self.all.append(subscriber)
        states = [dict(self.truth)]
        first = self.revision
        for _ in range(3):
            self.transaction(
                data.draw(
                    st.lists(st.tuples(st.sampled_from(["c1", "c2"]), st.sampled_from([*ALIASES, None])), min_size=1)
                )
            )
            states.append(dict(self.truth))
        read = data.draw(st.integers(0, 3))
        held = {key: value for key, value in states[read].items() if selector.matches(key, value.alias)}
        subscriber.watch.pending.rebase(first + read, {key: value.alias for key, value in held.items()})
        subscriber.replica = held
        return subscriber

    @rule(subscriber=subscribers)
    def read(self, subscriber: Subscriber) -> None:
        subscriber.take(self.revision)
        assert subscriber.replica == self.visible(subscriber.watch.selector)

    @rule(subscriber=subscribers, data=st.data())
    def resume(self, subscriber: Subscriber, data: st.DataObject) -> None:
        """It reads, goes away for a while, and comes back to a log that has grown, and grows while it is read."""
        subscriber.take(self.revision)
        since = self.revision
        self.index.remove(subscriber.watch)
        some = st.lists(st.tuples(st.sampled_from(["c1", "c2"]), st.sampled_from([*ALIASES, None])), min_size=1)
        self.transaction(data.draw(some))
        self.transaction(data.draw(some))
        subscriber.watch = Watch(subscriber.watch.selector)
        self.index.add(subscriber.watch)
        registered_at = self.revision
        self.transaction(data.draw(some))
        missed = PendingChanges(row for row in self.log if since < row.revision <= registered_at)
        missed.follow(subscriber.watch.pending)
        subscriber.watch.pending = missed
        subscriber.take(self.revision)
        assert subscriber.replica == self.visible(subscriber.watch.selector)

    @invariant()
    def pending_is_bounded(self) -> None:
        for subscriber in getattr(self, "all", []):
            assert len(subscriber.watch.pending) <= len(self.versions)


WatchMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestWatch = WatchMachine.TestCase


def test_rename_away_and_onto_arrives_as_one_change() -> None:
    watch = Watch(Selector(aliases=frozenset({"general", "planning"})))
    watch.offer(change(7, "c1", "general", "old-general", version=2))
    watch.offer(change(7, "c2", "planning", "general", version=2))
    event = watch.take(Position("store", 7))
    assert event is not None
    assert event.removed == (RemovedConfig("c1", "general"),)
    assert [(put.id, put.alias) for put in event.put] == [("c2", "general")]


def test_created_and_deleted_in_between_is_no_event() -> None:
    watch = Watch(Selector())
    watch.offer(change(1, "c1", None, "general"))
    watch.offer(change(2, "c1", "general", None, version=2))
    assert watch.take(Position("store", 2)) is None


def test_a_change_concerns_only_the_watches_that_name_its_config() -> None:
    index = WatchIndex()
    by_alias = Watch(Selector(aliases=frozenset({"general"})))
    by_id = Watch(Selector(ids=frozenset({"c1"})))
    other = Watch(Selector(aliases=frozenset({"planning"})))
    everything = Watch(Selector())
    for watch in (by_alias, by_id, other, everything):
        index.add(watch)
    assert index.concerned(change(1, "c1", None, "general")) == {by_alias, by_id, everything}
    assert index.concerned(change(2, "c1", "general", "planning")) == {by_alias, by_id, other, everything}
    for watch in (by_alias, by_id, other, everything):
        index.remove(watch)
    assert index.concerned(change(3, "c1", "general", "planning")) == set()


def test_an_event_tells_from_which_revision_on_it_is_no_difference_any_more() -> None:
    """For whoever stands before that it is one. What was made and unmade meanwhile counts: one that stands between has
    been told of the first, and not of the second."""
    watch = Watch(Selector())
    watch.offer(change(3, "c1", None, "general"))
    watch.offer(change(5, "c1", "general", "planning", version=2))
    taken = watch.take(Position("store", 6))
    assert taken is not None
    assert taken.first_revision == 3
    watch.offer(change(8, "c2", None, "general"))
    watch.offer(change(9, "c2", "general", None, version=2))
    assert watch.take(Position("store", 9)) is None
    watch.offer(change(11, "c1", "planning", "general", version=3))
    taken = watch.take(Position("store", 11))
    assert taken is not None
    assert taken.first_revision == 8
    watch.offer(change(13, "c2", None, "other"))
    watch.offer(change(14, "c2", "other", None, version=2))
    assert watch.take(Position("store", 14)) is None
    assert watch.bookmark(Position("store", 14)).first_revision == 13
    assert watch.bookmark(Position("store", 15)).first_revision is None


def test_a_change_tells_when_the_latest_in_it_was_made() -> None:
    watch = Watch(Selector())
    watch.offer(replace(change(1, "c1", None, "general"), at=NOW + timedelta(seconds=1)))
    watch.offer(replace(change(2, "c2", None, "planning"), at=NOW + timedelta(seconds=2)))
    taken = watch.take(Position("store", 2))
    assert taken is not None
    assert taken.at == NOW + timedelta(seconds=2)
