"""What is stored of a config, as its writer would have given it, also where its secrets cannot be opened any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..store import ModelConfig, ModelConfigDraft, Secrets, StoreCorrupt, UnknownKey
from .merge import draft_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The content of a config. `lost` says why its secrets cannot be opened, None when they are open.

    Lost secrets have a text in their place in `draft` that differs from version to version: to be compared, and to
    see what there was. `merge` drops it.
    """

    draft: ModelConfigDraft
    lost: str | None


def read_stored(config: ModelConfig, open_secrets: Callable[[ModelConfig], Secrets]) -> Stored:
    """The content of a config. `open_secrets` is that of the store, or of the transaction that the config is of."""
    try:
        return Stored(draft=draft_of(config, open_secrets(config)), lost=None)
    except UnknownKey as error:
        lost = f"they are sealed under the encryption key {error.name!r}, which the server does not have"
    except StoreCorrupt:
        lost = "they were changed from outside, or another key has the name of theirs now"
    unknown = f"sealed at version {config.version}"
    secrets = Secrets(
        auth=dict.fromkeys(config.auth.hints, unknown), params=dict.fromkeys(config.sealed_params, unknown)
    )
    return Stored(draft=draft_of(config, secrets), lost=lost)
