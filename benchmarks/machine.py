"""What kind of machine measured: nothing that names it."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from importlib.metadata import version
from pathlib import Path

import psutil


def machine() -> str:
    """Cores, memory, system and versions, in one line."""
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = f" ({found[1].strip()})" if found else ""
    memory = psutil.virtual_memory().total / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in ("strawberry-graphql", "uvicorn", "websockets"))
    return (
        f"{os.cpu_count()} cores{processor}, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {libraries}"
    )
