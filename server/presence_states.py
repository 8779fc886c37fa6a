"""What a server process knows of one component: its sockets, what they watch, and what is not written yet. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..store import Bound, Component, Mirror, ModelConfig, Position, Selector, WatchChange, WatchEvent, WatchSnapshot

_ALIAS = "alias:"
_ID = "id:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is to be written of a component. `connected`: it begins, and `bound` is all that it is bound to."""

    component: Component
    connected: bool
    bound: tuple[Bound, ...]
    unbound: tuple[str, ...]


@dataclass(slots=True, eq=False)
class ComponentState:
    """A component with at least one open socket.

    `unknown` are references of watches that went on from a position, of which only the database knows what is there.
    """

    component: Component
    links: set[Link] = field(default_factory=set)
    bound: dict[str, Bound] = field(default_factory=dict)
    unknown: dict[str, Position] = field(default_factory=dict)
    _connected: bool = True
    _changed: set[str] = field(default_factory=set)

    def describe(self, component: Component) -> None:
        """Another socket says this of it. When that is something else, the process was started anew, and nobody has
        noticed yet that the sockets of the one before are dead.
        """
        if replace(component, connected_at=self.component.connected_at) != self.component:
            self.component, self._connected = component, True

    def bind(self, bound: Bound) -> bool:
        """Note what it was sent; whether that is news."""
        self.unknown.pop(bound.reference, None)
        news = self.bound.get(bound.reference) != bound
        if news:
            self.bound[bound.reference] = bound
            self._changed.add(bound.reference)
        return news

    def unbind(self, reference: str) -> bool:
        """Note that it watches this no more; whether it did."""
        self.unknown.pop(reference, None)
        news = self.bound.pop(reference, None) is not None
        if news:
            self._changed.add(reference)
        return news

    def bind_to(self, reference: str, config: ModelConfig, version: int | None) -> bool:
        """Note that it was sent this version of a config, None: not known which; whether that is news."""
        return self.bind(
            Bound(
                component_id=self.component.id,
                reference=reference,
                alias=config.alias,
                config_id=config.id,
                delivered_version=version,
            )
        )

    def wait(self, reference: str) -> bool:
        """Note that nothing is there: an alias may still come, an id that is gone never does. Whether that is news."""
        if not reference.startswith(_ALIAS):
            return self.unbind(reference)
        alias = reference.removeprefix(_ALIAS)
        return self.bind(Bound(component_id=self.component.id, reference=reference, alias=alias))

    def resolve(self, references: Iterable[str], configs: Iterable[ModelConfig]) -> bool:
        """Note what is there of those of these references that are unknown; whether that is news."""
        by_name = {name: config for config in configs for name in _names(config)}
        news = False
        for reference in self.unknown.keys() & set(references):
            config, position = by_name.get(reference), self.unknown[reference]
            if config is None:
                news |= self.wait(reference)
            else:
                # A newer version is on its way to it.
                version = config.version if config.revision <= position.revision else None
                news |= self.bind_to(reference, config, version)
        return news

    def take(self) -> Note:
        """What is to be written; it counts as written from now on."""
        changed, self._changed = self._changed, set()
        connected, self._connected = self._connected, False
        references = self.bound.keys() if connected else self.bound.keys() & changed
        return Note(
            component=self.component,
            connected=connected,
            bound=tuple(self.bound[reference] for reference in sorted(references)),
            unbound=() if connected else tuple(sorted(changed - self.bound.keys())),
        )

    def give_back(self, note: Note) -> None:
        """It was not written after all."""
        self._connected |= note.connected
        self._changed |= {bound.reference for bound in note.bound} | set(note.unbound)

    def begin_anew(self) -> None:
        """The database has lost it: all of it is to be written."""
        self._connected = True


class Link:
    """A ComponentLink: one socket of a component. Watches without names bind to nothing: they only look on."""

    def __init__(self, state: ComponentState, mirror: Mirror, note: Callable[[ComponentState], None]) -> None:
        self._state = state
        self._mirror = mirror
        self._note = note
        self._watched: Counter[str] = Counter()
        self._known: set[str] = set()
        self._open = True
        state.links.add(self)

    @property
    def component_id(self) -> str:
        return self._state.component.id

    def close(self) -> ComponentState:
        """The socket ends. What its watches say from now on is not heard: they end with it. A component keeps what its
        last socket was sent.
        """
        self._open = False
        self._state.links.discard(self)
        if self._state.links:
            self._unbind(set(self._watched))
        return self._state

    def watches(self, selector: Selector) -> None:
        self._watched.update(_references(selector))

    def leaves(self, selector: Selector) -> None:
        if not self._open:
            return
        self._watched.subtract(_references(selector))
        over = {reference for reference in _references(selector) if not self._watched[reference]}
        self._watched -= Counter()
        self._known -= over
        self._unbind(over)

    def _unbind(self, references: set[str]) -> None:
        others = [other for other in self._state.links if other is not self]
        self._changed(
            self._state.unbind(reference)
            for reference in references
            if not any(reference in other._watched for other in others)
        )

    def delivered(self, selector: Selector, event: WatchEvent) -> None:
        if not self._open or selector.everything:
            return
        changed: list[bool] = []
        match event:
            case WatchSnapshot(configs=configs):
                changed += self._sent(selector, configs, set(_references(selector)))
            case WatchChange(put=put, removed=removed):
                changed.append(self._resumed(selector, event))
                changed += [self._lost(config.id, selector) for config in removed]
                changed += self._sent(selector, put, set())
            case _:
                changed.append(self._resumed(selector, event))
        self._changed(changed)

    def _resumed(self, selector: Selector, event: WatchEvent) -> bool:
        """A watch that goes on from a position is not told what it has: that is what is there now."""
        unknown = set(_references(selector)) - self._known
        self._known |= unknown
        self._state.unknown |= dict.fromkeys(unknown, event.position)
        snapshot = self._mirror.snapshot(selector) if unknown else None
        return bool(unknown) if snapshot is None else self._state.resolve(unknown, snapshot.configs)

    def _sent(self, selector: Selector, configs: tuple[ModelConfig, ...], unmentioned: set[str]) -> Iterator[bool]:
        for config in configs:
            for reference in set(_names(config)) & set(_references(selector)):
                unmentioned.discard(reference)
                yield self._bind(reference, config, config.version)
        yield from self._wait(unmentioned)

    def _lost(self, config_id: str, selector: Selector) -> bool:
        bound = [self._state.bound.get(reference) for reference in _references(selector)]
        lost = {each.reference for each in bound if each is not None and each.config_id == config_id}
        return any([*self._wait(lost)])

    def _bind(self, reference: str, config: ModelConfig, version: int | None) -> bool:
        self._known.add(reference)
        return self._state.bind_to(reference, config, version)

    def _wait(self, references: set[str]) -> Iterator[bool]:
        """Nothing is there."""
        for reference in references:
            self._known.add(reference)
            yield self._state.wait(reference)

    def _changed(self, news: Iterator[bool] | list[bool]) -> None:
        if any([*news]):
            self._note(self._state)


def selector_of(references: Collection[str]) -> Selector:
    """What these references name."""
    ids = frozenset(each.removeprefix(_ID) for each in references if each.startswith(_ID))
    aliases = frozenset(each.removeprefix(_ALIAS) for each in references if each.startswith(_ALIAS))
    return Selector(ids=ids, aliases=aliases)


def _references(selector: Selector) -> Iterator[str]:
    yield from (_ALIAS + alias for alias in selector.aliases or ())
    yield from (_ID + config_id for config_id in selector.ids or ())


def _names(config: ModelConfig) -> tuple[str, str]:
    return _ALIAS + config.alias, _ID + config.id
