"""The settings of sessions and of external identities."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from ..resolvers.attempts import Attempts
from ..resolvers.session_rules import SessionRules
from . import oidc_setting_values
from .oidc import OidcRules
from .setting_values import listed


class IdentitySettings(BaseSettings):
    """Who is let in, and for how long."""

    access_token_seconds: float = Field(
        900.0,
        ge=0.5,
        le=86_400,
        description="How long an access token is good that `signIn` or `refreshSession` gave.",
        json_schema_extra={"unit": "s"},
    )
    session_seconds: float = Field(
        2_592_000.0,
        ge=1,
        le=31_536_000,
        description="How long after `signIn` one has to sign in again, however often the session was refreshed.",
        json_schema_extra={"unit": "s"},
    )
    sign_in_attempts_per_minute: int = Field(
        30,
        ge=1,
        le=1_000_000,
        description="How many attempts to sign in an address has, in every worker; behind a proxy that is not one of "
        "the trusted proxies all have one address.",
    )
    oidc_issuer: str = Field(
        "",
        description="An OIDC issuer whose tokens are accepted besides API keys, exactly as it writes itself in `iss`. "
        "It is called whatever the outbound settings say. Empty for none.",
    )
    oidc_audience: str = Field(
        "",
        validate_default=True,
        description="What the issuer's tokens must have in `aud` to be meant for this server.",
    )
    oidc_algorithms: Annotated[frozenset[str], NoDecode] = Field(
        frozenset({"RS256", "ES256"}),
        min_length=1,
        description="The algorithms with which the issuer may sign, comma-separated.",
        json_schema_extra={"default": "RS256,ES256"},
    )
    oidc_leeway_seconds: float = Field(
        30.0,
        ge=0,
        le=300,
        description="By how much the issuer's clock may differ from this server's.",
        json_schema_extra={"unit": "s"},
    )
    oidc_scopes_claim: str = Field(
        "scope",
        min_length=1,
        description="The claim that says what one may do, a list or a text with blanks between; "
        "a dot leads into an object, as in realm_access.roles.",
    )
    oidc_scope_map: Annotated[dict[str, frozenset[str]], NoDecode] = Field(
        {},
        description='What the words of that claim permit, as JSON or a table of the settings file: {"agents-admin": '
        '["*"], "agents": ["model_config:read", "model_config:resolve"]}. Without it they are scopes themselves.',
        json_schema_extra={"default": ""},
    )
    oidc_aliases_claim: str = Field(
        "",
        description="The claim with the aliases that a token opens, exact or with * for any text; empty: all of them.",
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, url: str) -> str:
        return oidc_setting_values.issuer(url)

    @field_validator("oidc_audience")
    @classmethod
    def _audience(cls, audience: str, info: ValidationInfo) -> str:
        if info.data.get("oidc_issuer") and not audience:
            raise ValueError("set it too: without an audience every token of the issuer would be accepted")
        return audience

    @field_validator("oidc_algorithms", mode="before")
    @classmethod
    def _algorithms(cls, value: object) -> object:
        return listed(value, oidc_setting_values.algorithm)

    @field_validator("oidc_scope_map", mode="before")
    @classmethod
    def _scope_map(cls, value: object) -> object:
        return oidc_setting_values.scope_map(value)

    @property
    def oidc_rules(self) -> OidcRules | None:
        """Whose tokens are accepted besides our own; None: nobody's."""
        if not self.oidc_issuer:
            return None
        names = [field.name for field in dataclasses.fields(OidcRules)]
        return OidcRules(**{name: getattr(self, f"oidc_{name}") for name in names})

    @property
    def session_rules(self) -> SessionRules:
        """How long tokens live, with attempts to sign in of its own."""
        return SessionRules(
            access_token_seconds=self.access_token_seconds,
            session_seconds=self.session_seconds,
            attempts=Attempts(self.sign_in_attempts_per_minute),
        )
