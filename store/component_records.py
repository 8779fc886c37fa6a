"""Records of components: what servers note of them, and what is read back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """What a component did with a version. The values are in stored rows: none is ever renamed."""

    APPLIED = "applied"
    REFUSED = "refused"


class BindingState(StrEnum):
    """How a component stands to the current version of a config."""

    APPLIED = "applied"
    REFUSED = "refused"
    PENDING = "pending"
    OFFLINE = "offline"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A process with the subscriber in it, as it describes itself with the credentials of `subject`.

    `id` is what `component_id` makes of these two. `connected_at` is when its present, or last, connection began;
    `disconnected_at` when that ended, None while it is connected.
    """

    id: str
    instance_id: str
    name: str
    kind: str | None = None
    library_version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    subject: str
    connected_at: datetime
    disconnected_at: datetime | None = None

    @property
    def online(self) -> bool:
        """Whether it is connected to a server that is there."""
        return self.disconnected_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """That a component watches `reference` (`alias:…` or `id:…`), and what it was sent of it.

    `config_id` and `delivered_version` are None while no config is there. `alias` is that of the config, or the one
    that is waited for.
    """

    component_id: str
    reference: str
    alias: str
    config_id: str | None = None
    delivered_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What a component did with one version. `reason` is a class, `message` a text for people; None: none given.

    `at` is when it did it (UTC).
    """

    component_id: str
    config_id: str
    version: int
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceBatch:
    """What a server process notes together. `at` is when; the process counts as gone after `lease_until`.

    `unbound` are pairs of a component's id and a reference that it watches no more, `gone` the ids of components
    whose last connection here ended. `acknowledgements` may be of any versions in any order; of one version the last
    counts.
    """

    server: str
    at: datetime
    lease_until: datetime
    connected: Sequence[Component] = ()
    bound: Sequence[Bound] = ()
    unbound: Sequence[tuple[str, str]] = ()
    gone: Collection[str] = ()
    acknowledgements: Sequence[Acknowledgement] = ()

    @property
    def concerned(self) -> frozenset[str]:
        """The ids of the components of which there is something new; none when only the lease is renewed."""
        return frozenset(
            (
                *(component.id for component in self.connected),
                *(bound.component_id for bound in self.bound),
                *(component_id for component_id, _ in self.unbound),
                *self.gone,
                *(given.component_id for given in self.acknowledgements),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A component's use of one alias or id.

    `desired_version` is the config's current one. `outcome`, `reason`, `message` and `acknowledged_at` are of
    `acknowledged_version`, the last that the component spoke of; `applied_version` is the last that it applied. Each
    is None when there is none.
    """

    component: Component
    reference: str
    alias: str
    config_id: str | None
    desired_version: int | None
    delivered_version: int | None
    acknowledged_version: int | None
    applied_version: int | None
    outcome: Outcome | None
    reason: str | None
    message: str | None
    acknowledged_at: datetime | None

    @property
    def state(self) -> BindingState:
        """How the component stands to the config's current version."""
        if not self.component.online:
            return BindingState.OFFLINE
        if self.desired_version is None:
            return BindingState.WAITING
        if self.outcome is None or (self.acknowledged_version or 0) < self.desired_version:
            return BindingState.PENDING
        return BindingState(self.outcome.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How many components stand how to a config's current version, each counted once.

    `reasons` are the classes with which it is refused, and how often; None stands for no class given.
    """

    version: int
    applied: int = 0
    refused: int = 0
    pending: int = 0
    offline: int = 0
    reasons: Mapping[str | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A component with all its bindings, or those that somebody may see, in the order of their references."""

    component: Component
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRollout:
    """A model config, and how far its current version has come."""

    config_id: str
    alias: str
    rollout: Rollout
