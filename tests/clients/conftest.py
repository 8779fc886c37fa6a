"""The Node project of the clients."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 120.0


@pytest.fixture(scope="session")
def node_project() -> Path:
    """The folder with the Node clients in the versions of the lock file."""
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / f".installed-{digest}"
    with (HERE / "package-lock.json").open() as lock:
        # The files of tests run in several processes.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            run_node("npm", "ci", "--loglevel=error")
            stamp.touch()
    return HERE


def run_node(*command: str) -> str:
    """Run a command in the folder of the Node clients; its output."""
    result = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, timeout=10 * TIMEOUT_SECONDS, check=False
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout
