"""Where the command line finds the token that a server has left for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelwire.cli.local_token import data_dir, local_token
from modelwire.server.settings import Settings
from modelwire.server.settings_loading import load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("MODELWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def leave(folder: Path, name: str = "local-8400.token", mode: int = 0o600) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("mwl_token")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8400", "http://localhost:8400/graphql", "http://[::1]:8400", "https://127.0.0.1:8400"]
)
def test_the_token_of_a_server_of_this_machine(folder: Path, url: str) -> None:
    assert local_token(url) is None
    leave(folder / "share" / "modelwire")
    assert local_token(url) == "mwl_token"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8401",
        "http://127.0.0.1",
        "http://10.0.0.1:8400",
        "http://localhost.evil.example:8400",
        "http://localhost@evil.example:8400",
        "http://localhost:port",
        "",
    ],
)
def test_no_other_server_gets_it(folder: Path, url: str) -> None:
    leave(folder / "share" / "modelwire")
    assert local_token(url) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_none(folder: Path, mode: int) -> None:
    leave(folder / "share" / "modelwire", mode=mode)
    assert local_token("http://127.0.0.1:8400") is None


def test_a_file_of_somebody_else_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(folder / "share" / "modelwire")
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    assert local_token("http://127.0.0.1:8400") is None


@pytest.mark.parametrize("file", [None, 'data_dir = "~/in-file"', "data_dir = 1", "no TOML", "port = 1"])
@pytest.mark.parametrize("variable", [None, "relative", "/absolute", ""])
def test_the_data_folder_is_the_servers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, variable: str | None
) -> None:
    if file is not None:
        (folder / "modelwire.toml").write_text(file)
    if variable is not None:
        monkeypatch.setenv("MODELWIRE_DATA_DIR", variable)
    broken = file in {"data_dir = 1", "no TOML"}
    assert data_dir() == (Settings() if broken else load_settings()).data_dir
