"""The settings of the server: one table that makes the validation, `modelwire serve --help` and the reference."""

from __future__ import annotations

from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from .setting_values import of_kubernetes
from .settings_identity import IdentitySettings
from .settings_limits import LimitSettings
from .settings_service import ServiceSettings
from .settings_web import WebSettings

PREFIX = "MODELWIRE_"


# The last class has the first settings of the table.
class Settings(LimitSettings, IdentitySettings, WebSettings, ServiceSettings):
    """How one server process runs. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the signature is pydantic-settings'
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101 -- what pydantic-settings always gives
        env_settings.env_vars = {
            name: value for name, value in env_settings.env_vars.items() if not of_kubernetes(value)
        }
        return init_settings, env_settings
