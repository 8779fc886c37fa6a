"""The build hook that puts the console into the packages, with hatchling's own builders on a small project."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PYPROJECT = """
[project]
name = "modelwire"
version = "0"
[tool.hatch.build]
dev-mode-dirs = ["."]
[tool.hatch.build.hooks.custom]
[tool.hatch.build.targets.wheel]
only-include = ["modelwire"]
[tool.hatch.build.targets.sdist]
only-include = ["modelwire", "console"]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the hook and a console that is not built, in a world without npm."""
    project = tmp_path / "project"
    for folder in ("modelwire", "console"):
        (project / folder).mkdir(parents=True)
    (project / "modelwire" / "__init__.py").touch()
    (project / "console" / "package.json").write_text("{}")
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / ".gitignore").write_text("dist/\n")
    shutil.copy(ROOT / "hatch_build.py", project)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("MODELWIRE_CONSOLE", raising=False)
    return project


def install_npm(project: Path, build: str) -> Path:
    """An npm that notes each of its commands in the file returned, and runs `build` for `npm run build`."""
    noted = project.parent / "npm-commands"
    npm = project.parent / "bin" / "npm"
    npm.write_text(f'#!/bin/sh\necho "$*" >> {noted}\nif [ "$*" = "run build" ]; then {build}; fi\n')
    npm.chmod(0o755)
    return noted


def built_page(project: Path) -> None:
    (project / "console" / "dist").mkdir()
    (project / "console" / "dist" / "index.html").write_text("built before")


def wheel(project: Path, version: str = "standard") -> zipfile.ZipFile:
    [path] = WheelBuilder(str(project)).build(directory=str(project / "out"), versions=[version])
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_console_built_for_it(project: Path) -> None:
    noted = install_npm(project, "/bin/mkdir dist && echo built now > dist/index.html")
    assert wheel(project).read("modelwire/console/index.html") == b"built now\n"
    assert noted.read_text() == "ci\nrun build\n"


def test_a_console_that_is_built_already_is_taken_as_it_is(project: Path) -> None:
    noted = install_npm(project, "exit 1")
    built_page(project)
    assert wheel(project).read("modelwire/console/index.html") == b"built before"
    assert not noted.exists()


def test_the_sdist_carries_the_console_built_and_its_sources(project: Path) -> None:
    built_page(project)
    [path] = SdistBuilder(str(project)).build(directory=str(project / "out"), versions=["standard"])
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert {f"modelwire-0/console/{name}" for name in ("package.json", "dist/index.html")} <= set(names)


def test_without_npm_the_package_is_built_without_the_console_and_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = wheel(project).namelist()
    assert "modelwire/__init__.py" in names
    assert not [name for name in names if "console" in name]
    output = capsys.readouterr()
    assert "building without the console: npm is not installed" in output.out + output.err


def test_a_build_that_fails_says_what_npm_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install_npm(project, "echo no such module; exit 1")
    wheel(project)
    output = capsys.readouterr()
    assert "npm run build failed:\nno such module" in output.out + output.err


def test_a_release_is_not_built_without_the_console(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_CONSOLE", "require")
    with pytest.raises(RuntimeError, match="npm is not installed"):
        wheel(project)


def test_an_editable_install_builds_and_copies_nothing(project: Path) -> None:
    noted = install_npm(project, "exit 1")
    built_page(project)
    assert not [name for name in wheel(project, "editable").namelist() if "console" in name]
    assert not noted.exists()
