"""What is built can be installed into an empty environment and used there, as the light package and with the server.

`make release` has it look at what was built for the release, with each Python that is promised.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import modelwire

ROOT = Path(__file__).parents[2]
UV = Path(sys.prefix) / "bin" / "uv"
PYTHONS = os.environ.get("RELEASE_PYTHONS", sys.executable).split()


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a user would, with nothing of this environment; its standard output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and with a wheel that was built from that sdist."""
    if released := os.environ.get("RELEASE_DIST"):
        return Path(released).absolute()
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [wheel] = built.glob("*.whl")
    return wheel


def environment(folder: Path, requirement: str, python: str = sys.executable) -> Path:
    """An environment with nothing but `requirement` in it; its bin folder. `python` is a version or a path."""
    run(UV, "venv", "--quiet", "--python", python, folder, cwd=folder.parent)
    run(
        UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python",
        "--constraint", ROOT / "constraints.txt", requirement, cwd=folder.parent,
    )  # fmt: skip
    return folder / "bin"


def test_the_wheel_and_the_sdist_hold_the_packages_and_no_links(built: Path, wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    for name in ("schema", "resolvers", "store", "subscriber", "server", "cli"):
        assert f"modelwire/{name}/__init__.py" in inside
    assert "modelwire/py.typed" in inside
    assert any(name.startswith("modelwire/store/migrations/versions/0001") for name in inside)
    assert "modelwire/examples/proxy_config.yaml" in inside
    assert {"modelwire/console/index.html", "modelwire/console/graphiql.html"} <= set(inside)
    assert not [name for name in inside if not name.startswith(("modelwire/", "modelwire-"))]
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_light_package_has_the_subscriber_and_says_what_the_server_needs(
    wheel: Path, tmp_path: Path, python: str
) -> None:
    bin_folder = environment(tmp_path / "light", str(wheel), python)
    run(bin_folder / "python", "-c", "from modelwire.subscriber import DynamicModelProvider", cwd=tmp_path)
    installed = run(UV, "pip", "list", "--python", bin_folder / "python", cwd=tmp_path)
    for package in ("strawberry-graphql", "sqlalchemy", "starlette", "uvicorn"):
        assert package not in installed
    assert "serve" in run(bin_folder / "modelwire", "--help", cwd=tmp_path)
    refused = subprocess.run(
        [bin_folder / "modelwire", "serve"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert 'pip install "modelwire[server]"' in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("python", PYTHONS)
def test_the_server_works_from_the_wheel(wheel: Path, tmp_path: Path, python: str) -> None:
    bin_folder = environment(tmp_path / "server", f"{wheel}[server]", python)
    exported = run(bin_folder / "modelwire", "schema", cwd=tmp_path)
    assert exported == (ROOT / "schema.graphql").read_text()
    shown = run(bin_folder / "modelwire", "demo", "--once", cwd=tmp_path)
    assert "0 failed" in shown
    list_of_parts(bin_folder / "python", tmp_path / "parts.json")


def list_of_parts(python: Path, file: Path) -> None:
    """The CycloneDX list, as `make release` makes it, has all that is installed."""

    def named(parts: list[dict[str, str]]) -> dict[str, str]:
        return {re.sub(r"[-_.]+", "-", part["name"]).lower(): part["version"] for part in parts}

    run(
        Path(sys.prefix) / "bin" / "cyclonedx-py", "environment", "--output-reproducible", "--of", "JSON",
        "--output-file", file, python, cwd=file.parent,
    )  # fmt: skip
    listed = named(json.loads(file.read_text())["components"])
    installed = run(UV, "pip", "list", "--format", "json", "--python", python, cwd=file.parent)
    assert listed == named(json.loads(installed))
    assert listed["modelwire"] == modelwire.__version__


def test_the_version_comes_from_one_place(wheel: Path) -> None:
    assert wheel.name.startswith(f"modelwire-{modelwire.__version__}-")
    # What is not released yet, or the version.
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert newest in {"Unreleased", modelwire.__version__}
