"""Where the settings come from: `MODELWIRE_*` environment variables, then files of secrets, then a `modelwire.toml`,
then flags; what comes later wins. And their table, for `modelwire serve --help` and the reference.
"""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from .setting_values import of_kubernetes
from .settings import PREFIX, Settings

logger = logging.getLogger(__name__)

FILE_NAME = "modelwire.toml"

SECRETS_VARIABLE = "MODELWIRE_SECRETS_DIR"
"""Names a folder with a file for each setting that it holds: what container engines and systemd make of secrets."""

SUBSCRIBER_VARIABLES = frozenset(
    {"MODELWIRE_URL", "MODELWIRE_TOKEN", "MODELWIRE_COMPONENT", "MODELWIRE_CACHE", "MODELWIRE_CACHE_KEY"}
)
"""Variables that components and the command line read; a server may see them too."""


class SettingsError(Exception):
    """The settings cannot be used as they are. The text names each setting and what it may be, never a secret value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table of settings. `flag` is None for secrets, which a process list would show; a `switch` is
    turned on by its flag alone.
    """

    name: str
    variable: str
    flag: str | None
    type: str
    unit: str | None
    default: str
    help: str
    switch: bool = False


def settings_table() -> tuple[Setting, ...]:
    """All settings, in the order in which they are explained."""
    return tuple(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> Setting:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    secret = SecretStr in get_args(field.annotation)
    default = extra.get("default", str(field.default).lower() if field.annotation is bool else field.default)
    return Setting(
        name=name,
        variable=PREFIX + name.upper(),
        flag=None if secret else "--" + name.replace("_", "-"),
        type=_type_name(field.annotation, secret=secret),
        unit=str(extra["unit"]) if "unit" in extra else None,
        default="" if default in (None, frozenset()) else str(default),
        help=field.description or "",
        switch=bool(extra.get("switch", False)),
    )


def _type_name(annotation: Any, *, secret: bool) -> str:
    if secret:
        return "secret"
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    types: dict[Any, str] = {
        str: "text",
        bool: "true|false",
        int: "integer",
        float: "number",
        Path: "folder",
        Path | None: "file",
        frozenset[str]: "list",
        dict[str, frozenset[str]]: "JSON",
    }
    return types[annotation]


def load_settings(flags: Mapping[str, Any] | None = None, file: Path | None = None) -> Settings:
    """The settings of this process. `flags` by setting name; `file` None means ./modelwire.toml if it is there.

    Warns in the log about variables and files of secrets with our prefix that are no setting. Raises SettingsError.
    """
    _warn_of_unknown_variables()
    flags = flags or {}
    from_file = _read_file(file)
    secrets = _read_secrets()
    try:
        return Settings(**{**secrets, **from_file, **flags})
    except ValidationError as error:
        problems = [_problem(details, flags, from_file, secrets) for details in error.errors(include_input=False)]
        raise SettingsError("; ".join(problems)) from None


def _problem(details: Any, flags: Mapping[str, Any], from_file: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    name = str(details["loc"][0])
    if name in flags:
        where = "--" + name.replace("_", "-")
    elif name in from_file:
        where = f"{name} in the settings file"
    elif name in secrets:
        where = f"the file {(PREFIX + name).lower()} in {SECRETS_VARIABLE}"
    else:
        where = PREFIX + name.upper()
    return f"{where}: {details['msg'].removeprefix('Value error, ')}"


def _read_secrets() -> dict[str, str]:
    """The settings in the folder of secrets; its files are named like the variables, in any case. Empty is not set."""
    folder = os.environ.get(SECRETS_VARIABLE)
    if not folder:
        return {}
    found = {}
    try:
        for path in Path(folder).iterdir():
            if not path.name.upper().startswith(PREFIX):
                continue
            name = path.name.upper().removeprefix(PREFIX).lower()
            if name not in Settings.model_fields:
                logger.warning("%s is no setting of this version%s", path, _suggestion(name))
            elif value := path.read_text(encoding="utf-8").strip():
                found[name] = value
    except OSError as error:
        raise SettingsError(f"{SECRETS_VARIABLE}: {error.filename} cannot be read: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{SECRETS_VARIABLE}: {path} is no text in UTF-8") from None
    return found


def _read_file(file: Path | None) -> dict[str, Any]:
    path = Path(FILE_NAME) if file is None else file
    if file is None and not path.exists():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"the settings file {path} is no TOML: {error}") from None
    unknown = [name for name in values if name not in Settings.model_fields]
    if unknown:
        raise SettingsError(
            "; ".join(f"{path} has {name!r}, which is no setting{_suggestion(name)}" for name in unknown)
        )
    return values


def _warn_of_unknown_variables() -> None:
    known = {row.variable for row in settings_table()} | SUBSCRIBER_VARIABLES | {SECRETS_VARIABLE}
    for variable, value in os.environ.items():
        if variable.startswith(PREFIX) and variable not in known and not of_kubernetes(value):
            name = variable.removeprefix(PREFIX).lower()
            logger.warning("%s is set and is no setting of this version%s", variable, _suggestion(name, PREFIX))


def _suggestion(name: str, prefix: str = "") -> str:
    close = difflib.get_close_matches(name.lower().replace("-", "_"), Settings.model_fields, n=1)
    if not close:
        return ""
    return f"; did you mean {prefix + close[0].upper() if prefix else repr(close[0])}?"
