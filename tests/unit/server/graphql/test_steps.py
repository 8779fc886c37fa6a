"""Who of a group needs which event: against a model, in which members come, fall behind, catch up and join again."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from stored import NOW, model_config

from modelwire.server.graphql.steps import InStep, Need, Step
from modelwire.store import (
    Change,
    ModelConfig,
    Operation,
    Position,
    Selector,
    WatchBookmark,
    WatchChange,
    WatchEvent,
    WatchSnapshot,
)
from modelwire.store.watch import PendingChanges, Watch

ALIASES = ["general", "planning", "other"]
SELECTORS = [Selector(), Selector(aliases=frozenset({"general", "planning"})), Selector(ids=frozenset({"c1", "c2"}))]


def at(revision: int, store: str = "store") -> Position:
    return Position(store, revision)


@pytest.mark.parametrize(
    ("position", "need"),
    [
        (at(10), Need.EVENT),
        (at(13), Need.EVENT),
        (at(14), Need.CATCH_UP),
        (at(19), Need.CATCH_UP),
        (at(9), Need.CATCH_UP),
        (at(20), Need.NOTHING),
        (at(30), Need.NOTHING),
        (at(10, "another"), Need.CATCH_UP),
        (at(30, "another"), Need.CATCH_UP),
    ],
)
def test_a_change_is_for_whoever_it_is_the_difference_for(position: Position, need: Need) -> None:
    step = Step.of(WatchChange(at(20), (), (), first_revision=14), after=at(10))
    assert step.need(position) is need


@pytest.mark.parametrize(
    ("position", "first", "need"),
    [
        (at(10), None, Need.EVENT),
        (at(19), None, Need.EVENT),
        # Who caught up with it hears that all is well, too: else it would wait for twice as long as the others.
        (at(20), None, Need.EVENT),
        (at(20), 14, Need.EVENT),
        (at(21), None, Need.NOTHING),
        (at(20, "another"), None, Need.CATCH_UP),
        (at(9), None, Need.CATCH_UP),
        (at(10), 14, Need.EVENT),
        (at(13), 14, Need.EVENT),
        # It holds what was made and unmade since.
        (at(14), 14, Need.CATCH_UP),
    ],
)
def test_a_bookmark_is_for_whoever_nothing_has_changed_for(position: Position, first: int | None, need: Need) -> None:
    assert Step.of(WatchBookmark(at(20), first_revision=first), after=at(10)).need(position) is need


@pytest.mark.parametrize(
    ("position", "need"),
    [
        (at(10), Need.EVENT),
        (at(25), Need.EVENT),
        (at(5, "new"), Need.NOTHING),
        (at(6, "new"), Need.NOTHING),
        (at(4, "new"), Need.EVENT),
    ],
)
def test_a_state_is_for_whoever_is_not_there(position: Position, need: Need) -> None:
    assert Step.of(WatchSnapshot(at(5, "new"), (), reset=True), after=at(10)).need(position) is need


def test_who_lacks_something_does_not_join() -> None:
    group: InStep[Member] = InStep(at(10))
    unborn, behind, level, ahead, elsewhere = (
        Member(position) for position in (None, at(9), at(10), at(11), at(3, "new"))
    )
    assert [group.join(member) for member in (unborn, behind, level, ahead, elsewhere)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert list(group) == [level, ahead, elsewhere]
    group.leave(level)
    group.leave(behind)
    _, concerned = group.go_on(WatchBookmark(at(12)))
    assert concerned == [ahead, elsewhere]
    assert group.position == at(12)
    assert not group.join(Member(at(11)))


@dataclass(eq=False)
class Member:
    """A subscriber that does as the events say."""

    position: Position | None = None
    replica: dict[str, ModelConfig] = field(default_factory=dict)

    def take(self, event: WatchEvent) -> None:
        held = self.position
        assert held is None or held.store_id != event.position.store_id or held.revision <= event.position.revision
        self.position = event.position
        match event:
            case WatchSnapshot(configs=configs):
                self.replica = {config.id: config for config in configs}
            case WatchChange(put=put, removed=removed):
                for gone in removed:
                    assert self.replica.pop(gone.id).alias == gone.alias
                for config in put:
                    before = self.replica.get(config.id)
                    assert before is None or before.version < config.version, "the same version twice"
                    self.replica[config.id] = config


class World:
    """Writers, one group's watch, and its members. What the feed does is done here as it does it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.selector = rng.choice(SELECTORS)
        self.store = 0
        self.revision = 0
        self.truth: dict[str, ModelConfig] = {}
        self.versions: Counter[str] = Counter()
        self.log: list[Change] = []
        self.states: dict[Position, dict[str, ModelConfig]] = {self.now: {}}
        self.watch = Watch(self.selector)
        self.group: InStep[Member] = InStep(self.now)
        self.members = [Member() for _ in range(4)]
        self.needs: Counter[Need] = Counter()

    @property
    def now(self) -> Position:
        return at(self.revision, str(self.store))

    @property
    def visible(self) -> dict[str, ModelConfig]:
        return {key: config for key, config in self.truth.items() if self.selector.matches(key, config.alias)}

    def transaction(self) -> None:
        self.revision += 1
        for config_id in self.rng.sample(["c1", "c2", "c3"], self.rng.randint(1, 2)):
            alias = self.rng.choice([*ALIASES, None])
            taken = any(other.alias == alias and other.id != config_id for other in self.truth.values())
            if not taken and (alias is not None or config_id in self.truth):
                self.write(config_id, alias)
        self.states[self.now] = self.visible

    def write(self, config_id: str, alias: str | None) -> None:
        before = self.truth.pop(config_id, None)
        self.versions[config_id] += 1
        if alias is not None:
            self.truth[config_id] = model_config(config_id, alias, self.versions[config_id], self.revision)
        change = Change(
            revision=self.revision,
            config_id=config_id,
            version=self.versions[config_id],
            operation=Operation.UPDATE,
            previous_alias=before.alias if before else None,
            config=self.truth.get(config_id),
            at=NOW,
            by="test",
        )
        self.log.append(change)
        if self.concerns(change):
            self.watch.offer(change)

    def concerns(self, change: Change) -> bool:
        selector, aliases = self.selector, {change.previous_alias, change.config.alias if change.config else None}
        by_name = change.config_id in (selector.ids or ()) or bool(aliases & (selector.aliases or set()))
        return selector.everything or by_name

    def replace_the_store(self) -> None:
        """A backup is restored: its revisions are others."""
        self.store += 1
        self.revision = 0
        self.log.clear()
        self.states[self.now] = self.visible
        self.watch.reset()

    def the_group_goes_on(self, *, quiet: bool) -> None:
        """Take what is pending; when nothing is, and the watch has been quiet for long, a bookmark."""
        event: WatchEvent | None
        if self.watch.outdated:
            self.watch.outdated = False
            self.watch.pending.rebase(self.revision, {key: held.alias for key, held in self.visible.items()})
            event = WatchSnapshot(self.now, tuple(self.visible.values()), reset=True)
        else:
            event = self.watch.take(self.now) or (self.watch.bookmark(self.now) if quiet else None)
        if event is None:
            return
        step, members = self.group.go_on(event)
        for member in members:
            assert member.position is not None
            need = step.need(member.position)
            self.needs[need] += 1
            if need is Need.EVENT:
                self.tell(member, event)
            elif need is Need.CATCH_UP:
                self.group.leave(member)

    def tell(self, member: Member, event: WatchEvent) -> None:
        member.take(event)
        assert member.replica == self.states[event.position]

    def catch_up(self, member: Member) -> None:
        """It is told what leads to now; whether it joins before or after the next thing that happens is open."""
        if member in self.group:
            return
        since = member.position
        if since is None or since.store_id != self.now.store_id:
            event: WatchEvent = WatchSnapshot(self.now, tuple(self.visible.values()), reset=since is not None)
        else:
            missed = (change for change in self.log if change.revision > since.revision and self.concerns(change))
            resumed = Watch(self.selector, PendingChanges(missed))
            event = resumed.take(self.now) or resumed.bookmark(self.now)
        self.tell(member, event)
        if self.rng.random() < 0.7:
            self.group.join(member)

    def step(self) -> None:
        member = self.rng.choice(self.members)
        match self.rng.choices(range(6), (8, 8, 5, 1, 1, 0.3))[0]:
            case 0:
                self.transaction()
            case 1:
                self.catch_up(member)
            case 2:
                self.the_group_goes_on(quiet=self.rng.random() < 0.5)
            case 3:
                self.group.join(member)
            case 4:
                self.group.leave(member)
            case _:
                self.replace_the_store()

    def settle(self) -> None:
        """All has been told and no more happens: whoever is in step, or catches up, has the latest state."""
        self.the_group_goes_on(quiet=True)
        for member in self.members:
            self.catch_up(member)
            assert member.replica == self.visible


def test_members_are_told_what_each_of_them_lacks_and_nothing_twice() -> None:
    needs: Counter[Need] = Counter()
    for seed in range(400):
        world = World(random.Random(seed))
        for _ in range(60):
            world.step()
        world.settle()
        needs += world.needs
    assert min(needs[need] for need in Need) > 300, needs
