"""What writers give. Every field of an input is absent (UNSET), null (None) or a value; absent keeps, null clears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..store import AuthType, Json


class Unset(Enum):
    """The type of UNSET, as an enum so that type checkers narrow `is UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""The writer did not name this field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthInput:
    """Authentication as a writer gives it.

    `values` by field name of the auth type (`api_key`, `region_name`, …): an absent key keeps what is stored, None
    clears it. Hidden in the repr, because secrets are among them.
    """

    type: AuthType
    values: Mapping[str, Json | None] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfigInput:
    """The fields of a model config as a writer gives them, for a new config or an existing one.

    `auth` None means no authentication. `params` is not validated yet and hidden in the repr, because secrets may be
    among them.
    """

    alias: str | Unset | None = UNSET
    description: str | Unset | None = UNSET
    provider: str | Unset | None = UNSET
    model: str | Unset | None = UNSET
    api_base: str | Unset | None = UNSET
    auth: AuthInput | Unset | None = UNSET
    params: Json | Unset = field(default=UNSET, repr=False)
    max_input_tokens: int | Unset | None = UNSET
