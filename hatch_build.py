"""Builds the web pages of `console/` into the wheel and the sdist.

An sdist carries them built, so that installing from it needs no Node. Without Node the package is built without the
pages, and the server says so where they would be; with MODELWIRE_CONSOLE=require that is an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds console/dist as modelwire/console. An editable install reads it in the checkout and needs no copy."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        console = Path(self.root, "console")
        if not (console / "dist" / "index.html").is_file() and (problem := build(console)):
            if os.environ.get("MODELWIRE_CONSOLE") == "require":
                raise RuntimeError(f"the console is not built: {problem}")
            self.app.display_warning(f"building without the console: {problem}")
            return
        installed = "modelwire/console" if self.target_name == "wheel" else "console/dist"
        build_data["force_include"][str(console / "dist")] = installed


def build(console: Path) -> str | None:
    """Build `console` into its folder `dist`. What was in the way, or None when nothing was."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    for command in (["ci"], ["run", "build"]):
        done = subprocess.run([npm, *command], check=False, cwd=console, capture_output=True, text=True)  # noqa: S603 -- fixed
        if done.returncode != 0:
            return f"npm {' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return None
