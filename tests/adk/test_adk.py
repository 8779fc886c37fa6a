"""The Google ADK adapter, in an environment of its own: google-adk needs another websockets than everything else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WITH_ITS_WEBSOCKETS = ROOT / "tests" / "integration" / "subscriber" / "test_socket.py"
UV = Path(sys.prefix) / "bin" / "uv"


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout, with nothing of this environment."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "PYTEST"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**kept, **variables},
        check=False,
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the extra `adk`, and without the server's."""
    folder = tmp_path_factory.mktemp("adk") / "venv"
    made = run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    assert made.returncode == 0, made.stderr
    python = folder / "bin" / "python"
    installed = run(
        UV, "pip", "install", "--quiet", "--python", python, "--constraint", HERE / "constraints.txt",
        "--editable", ".[adk]", "--group", "adk",
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    return python


def test_agents_work_with_it(python: Path) -> None:
    done = run(
        python, "-m", "pytest", HERE / "inside", WITH_ITS_WEBSOCKETS, "--confcutdir", HERE / "inside",
        "-p", "no:cacheprovider", "-q",
        # google-adk warns about parts of itself, and LiteLLM leaves connections to the collector.
        "-W", "ignore",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^(1[0-9]|[2-9][0-9]) passed in ", done.stdout, re.MULTILINE), done.stdout


def test_without_the_framework_the_import_says_what_is_missing() -> None:
    done = run(sys.executable, "-c", "import modelwire.subscriber.adapters.adk")
    assert done.returncode == 1
    assert "pip install 'modelwire[adk]'" in done.stderr.splitlines()[-1]
