"""What the fake control plane knows: the configs, and every change of them in order. No I/O."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..protocol import Json

_MAX_ALIAS_CHARACTERS = 100
_REVISION = re.compile(r"([0-9a-z]{1,32})-(0|[1-9][0-9]{0,18})")


class UnknownRevision(Exception):
    """A text that no control plane gave as a revision."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One change. `config` None: the config was removed. `existed`: it was there before the change."""

    number: int
    id: str
    alias: str
    config: Mapping[str, Json] | None
    existed: bool


class Records:
    """Configs by alias, and the log of their changes. It can be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._store = uuid.uuid4().hex[:12]
        self._log: list[_Row] = []
        self._configs: dict[str, Mapping[str, Json]] = {}

    def put(self, alias: str, params: Mapping[str, Json] | None) -> int:
        """Create the config of an alias, or give it its next version; None makes it a placeholder. Gives the version.

        Raises ValueError, and changes nothing.
        """
        _check_alias(alias)
        fields = _fields(alias, params)
        with self._lock:
            old = self._configs.get(alias)
            version = int(old["version"]) + 1 if old else 1
            id_ = str(old["id"]) if old else uuid.uuid4().hex
            number = len(self._log) + 1
            config = {"id": id_, "alias": alias, "version": version, "revision": self._revision(number), **fields}
            self._configs[alias] = config
            self._log.append(_Row(number, id_, alias, config, existed=old is not None))
        return version

    def remove(self, alias: str) -> None:
        """Delete the config of an alias. Raises LookupError."""
        with self._lock:
            old = self._configs.pop(alias, None)
            if old is None:
                raise LookupError(f"no config has the alias {alias!r}")
            self._log.append(_Row(len(self._log) + 1, str(old["id"]), alias, None, existed=True))

    def first(self, aliases: Collection[str], since: str | None) -> tuple[Mapping[str, Json], int]:
        """Give a watch's first event and the number that it is at. Raises UnknownRevision."""
        store, number = _parse(since)
        with self._lock:
            last = len(self._log)
            if store == self._store and number <= last:
                event = self._difference(aliases, number) or {"__typename": "Bookmark", "revision": self._revision()}
                return event, last
            configs = [config for alias, config in self._configs.items() if alias in aliases]
        revision = self._revision(last)
        reset = since is not None
        return (
            {"__typename": "ModelConfigSnapshot", "revision": revision, "reset": reset, "modelConfigs": configs},
            last,
        )

    def after(self, aliases: Collection[str], number: int) -> tuple[Mapping[str, Json] | None, int]:
        """Give what changed since `number`, None when nothing did, and the number that this is at."""
        with self._lock:
            return self._difference(aliases, number), len(self._log)

    def _difference(self, aliases: Collection[str], number: int) -> Mapping[str, Json] | None:
        first: dict[str, _Row] = {}
        latest: dict[str, _Row] = {}
        for row in self._log[number:]:
            if row.alias in aliases:
                first.setdefault(row.id, row)
                latest[row.id] = row
        put = [row.config for row in latest.values() if row.config is not None]
        # What came and went in between is nothing to whoever never heard of it.
        removed = [
            {"id": id_, "alias": row.alias} for id_, row in latest.items() if row.config is None and first[id_].existed
        ]
        if not put and not removed:
            return None
        return {"__typename": "ModelConfigChange", "revision": self._revision(), "put": put, "removed": removed}

    def _revision(self, number: int | None = None) -> str:
        return f"{self._store}-{len(self._log) if number is None else number}"


def _check_alias(alias: str) -> None:
    if not isinstance(alias, str) or not 0 < len(alias) <= _MAX_ALIAS_CHARACTERS:
        raise ValueError(f"an alias is a text of 1 to {_MAX_ALIAS_CHARACTERS} characters")


def _fields(alias: str, params: Mapping[str, Json] | None) -> dict[str, Json]:
    """Give the fields that the API has for LiteLLM's keyword arguments; `max_input_tokens` is none of those."""
    if params is None:
        return {"configured": False, "maxInputTokens": None, "litellmParams": None}
    if not isinstance(params, Mapping):
        raise ValueError(f"the config of {alias!r} is a mapping of LiteLLM's keyword arguments, or None")  # noqa: TRY004 - one kind of error for all that is wrong with a config
    if not isinstance(params.get("model"), str) or not params["model"]:
        raise ValueError(f"the config of {alias!r} needs a 'model', such as 'openai/gpt-5'")
    tokens = params.get("max_input_tokens")
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1):
        raise ValueError(f"the 'max_input_tokens' of {alias!r} is a whole number from 1 up")
    try:
        # The copy is ours: what the caller does with the original changes nothing here.
        copied = json.loads(json.dumps(dict(params)))
    except (TypeError, ValueError):
        raise ValueError(f"the config of {alias!r} holds something that JSON does not have") from None
    copied.pop("max_input_tokens", None)
    return {"configured": True, "maxInputTokens": tokens, "litellmParams": copied}


def _parse(revision: str | None) -> tuple[str | None, int]:
    if revision is None:
        return None, 0
    if (match := _REVISION.fullmatch(revision)) is None:
        raise UnknownRevision
    return match[1], int(match[2])
