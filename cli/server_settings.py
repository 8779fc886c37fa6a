"""The settings of a server that is started here, for the commands that start it or work on its database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..server.logs import configure_logging
from ..server.settings import Settings
from ..server.settings_loading import SettingsError, load_settings
from .errors import CommandError, ExitCode


def server_settings(config: Path | None, flags: Mapping[str, Any] = MappingProxyType({})) -> Settings:
    """The settings of the environment, of the file `config` (None: ./modelwire.toml), and of flags, by name.

    Raises CommandError (USAGE).
    """
    # The settings are not there yet that say how to log: what they warn about is shown in any case.
    configure_logging("warning")
    try:
        return load_settings(flags, config)
    except SettingsError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
