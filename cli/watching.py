"""What `modelwire watch` knows: the events of the real subscription, and what a component would make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..subscriber import ConfigRefused, LiteLlm, events
from ..subscriber.replica import settings_of
from .assignments import AUTH_FIELDS, REFERENCE

DOCUMENT = """
subscription Watch($by: [ModelConfigRef!], $since: Revision) {
  modelConfigChanged(by: $by, since: $since) {
    __typename
    revision
    ... on ModelConfigSnapshot { reset modelConfigs { ...Watched } }
    ... on ModelConfigChange { put { ...Watched } removed { id alias } }
  }
}
fragment Watched on ModelConfig {
  id alias version revision configured maxInputTokens litellmParams params updatedAt updatedBy
}
"""

# What else of the keyword arguments is no secret: what the API shows of a config outside its params.
_VISIBLE = frozenset({"model", "api_base"} | {field.litellm_name for field in AUTH_FIELDS if not field.secret})


class Setting(NamedTuple):
    """A keyword argument of LiteLLM's call. `value` is None when it is `hidden`, because it may be a secret."""

    name: str
    value: Any
    hidden: bool


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of a config. `kind` is `would_apply`, `refused` (for `reason`, as a component would say it, with
    `message`), `placeholder`, `removed` or `absent` (no config has the alias).

    `in_use` is the version that a component would go on with; None: it has nothing to make calls with. `settings` are
    those of this version, `changed` the names of those that are other than in the version before.
    """

    kind: str
    alias: str
    id: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    message: str | None = None
    in_use: int | None = None
    settings: tuple[Setting, ...] = ()
    before: tuple[Setting, ...] = ()
    changed: frozenset[str] = frozenset()


class Watch:
    """The configs of a watch, and what a component would do with each. An `Operation` of the link.

    `aliases` empty: all configs. `report` hears of each change, `settled` of the end of each event, `refused` that the
    server does not tell. References are followed in the environment of this process, under `allowed_env`.
    """

    def __init__(
        self,
        aliases: Iterable[str],
        *,
        allowed_env: Iterable[str],
        report: Callable[[Seen], None],
        settled: Callable[[], None],
        refused: Callable[[], None],
    ) -> None:
        self._aliases = tuple(aliases)
        self._allowed_env = tuple(allowed_env)
        self._report = report
        self._settled = settled
        self._refused = refused
        self._position: str | None = None
        self._held: dict[str, _Held] = {}

    def request(self) -> Mapping[str, Any]:
        """Ask for what changed since the last event, or for all at the first time."""
        variables: dict[str, Any] = {"by": [{"alias": alias} for alias in self._aliases]}
        if self._position is not None:
            variables["since"] = self._position
        return {"query": DOCUMENT, "operationName": "Watch", "variables": variables}

    def denied(self) -> None:
        """The server refuses to tell it to who we are."""
        self._refused()

    def receive(self, data: Any) -> None:
        """Take one event. Raises ProtocolError."""
        event = events.parse(data)
        raw = data["modelConfigChanged"]
        match event:
            case events.Snapshot(_, configs):
                first = self._position is None
                for id_ in self._held.keys() - {config.id for config in configs}:
                    self._remove(id_)
                self._put_all(configs, raw["modelConfigs"])
                if first:
                    self._report_absent()
            case events.Change(_, put, removed):
                for id_ in removed & self._held.keys():
                    self._remove(id_)
                self._put_all(put, raw["put"])
        self._position = event.revision
        self._settled()

    def _put_all(self, configs: tuple[events.Config, ...], raw: list[Mapping[str, Any]]) -> None:
        for config, shown in zip(configs, raw, strict=True):
            held = self._held.get(config.id)
            if held is None or held.version != config.version:
                self._put(config, shown, held)

    def _put(self, config: events.Config, shown: Mapping[str, Any], held: _Held | None) -> None:
        now = _Held(config, shown, in_use=held.in_use if held else None)
        reason = message = None
        if config.litellm_params is None:
            kind, now.in_use = "placeholder", None
        else:
            try:
                _try(config, self._allowed_env)
            except ConfigRefused as refused:
                kind, reason, message = "refused", refused.reason, str(refused).removeprefix(f"{refused.reason}: ")
            else:
                kind, now.in_use = "would_apply", config.version
        self._held[config.id] = now
        self._report(
            Seen(
                kind=kind,
                alias=config.alias,
                id=config.id,
                config=shown,
                reason=reason,
                message=message,
                in_use=now.in_use,
                settings=now.settings,
                before=held.settings if held else (),
                changed=now.changed_since(held),
            )
        )

    def _remove(self, id_: str) -> None:
        held = self._held.pop(id_)
        self._report(Seen(kind="removed", alias=held.alias, id=id_))

    def _report_absent(self) -> None:
        there = {held.alias for held in self._held.values()}
        for alias in self._aliases:
            if alias not in there:
                self._report(Seen(kind="absent", alias=alias))


class _Held:
    """One config at one version, with its secrets."""

    def __init__(self, config: events.Config, shown: Mapping[str, Any], in_use: int | None) -> None:
        self.alias = config.alias
        self.version = config.version
        self.in_use = in_use
        self._params = config.litellm_params or {}
        visible = _VISIBLE | (shown.get("params") or {}).keys()
        self.settings = tuple(_setting(name, value, name in visible) for name, value in sorted(self._params.items()))

    def changed_since(self, held: _Held | None) -> frozenset[str]:
        old = {} if held is None else held._params
        names, absent = old.keys() | self._params.keys(), object()
        return frozenset(name for name in names if old.get(name, absent) != self._params.get(name, absent))


def _setting(name: str, value: Any, visible: bool) -> Setting:
    shown = visible or (isinstance(value, str) and value.startswith(REFERENCE))
    return Setting(name, value if shown else None, not shown)


def _try(config: events.Config, allowed_env: tuple[str, ...]) -> None:
    """Do with the config what a component does, in a model that nobody uses. Raises ConfigRefused."""
    LiteLlm(config.alias, allowed_env=allowed_env).configure_model(settings_of(config))
