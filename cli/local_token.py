"""The token that `modelwire serve` leaves for the command line of the same user on the same machine."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def local_token(url: str) -> str | None:
    """The token for the server at this address; None when it is not on this machine, or has left none for this user."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    if parts.hostname not in LOOPBACK:
        return None
    try:
        with (data_dir() / f"local-{port}.token").open(encoding="ascii") as file:
            status = os.fstat(file.fileno())
            # Another user's file could lead this one's secrets to another user's server.
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                return None
            return file.read().strip() or None
    except (OSError, ValueError):
        return None


def data_dir() -> Path:
    """The data folder of a server that is started here, as `Settings.data_dir` has it, without the server installed."""
    for named in (_in_file(), os.environ.get("MODELWIRE_DATA_DIR")):
        if named:
            return Path(named).expanduser().absolute()
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "modelwire"


def _in_file() -> str | None:
    try:
        named = tomllib.loads(Path("modelwire.toml").read_text(encoding="utf-8")).get("data_dir")
    except (OSError, ValueError):
        return None
    return named if isinstance(named, str) else None
