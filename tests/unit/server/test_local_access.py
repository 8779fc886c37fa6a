"""The token that is left for the command line of the same user."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from modelwire.server.local_access import LocalToken, is_local
from modelwire.server.settings import Settings


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "port": 8401, **values})


def test_the_file_is_for_this_user_and_for_this_start(tmp_path: Path) -> None:
    first = LocalToken(settings(tmp_path))
    first.leave()
    assert first.file == tmp_path / "data" / "local-8401.token"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (first.file, first.file.parent)] == [0o600, 0o700]
    token = first.file.read_text()
    assert is_local(f"Bearer {token}", first.hash)
    assert is_local(f"bearer  {token} ", first.hash)
    assert token not in first.hash
    # The next start takes the place of one that was killed, whose token is then none.
    second = LocalToken(settings(tmp_path))
    second.leave()
    assert not is_local(f"Bearer {token}", second.hash)
    first.remove()
    assert second.file.exists()
    second.remove()
    assert list(second.file.parent.iterdir()) == []
    second.remove()


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer mwl_", "Basic {}", "Bearer {}0", "Bearer \udcff"])
def test_other_headers(tmp_path: Path, header: str | None) -> None:
    local = LocalToken(settings(tmp_path))
    local.leave()
    given = None if header is None else header.format(local.file.read_text())
    assert not is_local(given, local.hash)
    assert not is_local(given, None)


def test_no_token_is_none(tmp_path: Path) -> None:
    local = LocalToken(settings(tmp_path))
    local.leave()
    assert not is_local(f"Bearer {local.file.read_text()}", None)
    assert not is_local("Bearer mwl_", "")


@pytest.mark.parametrize("values", [{"host": "0.0.0.0"}, {"host": "192.168.1.5"}, {"no_auth": True}])
def test_where_none_is_left(tmp_path: Path, values: dict[str, Any]) -> None:
    LocalToken(settings(tmp_path, **values)).leave()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_only_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "data").write_text("a file")
    local = LocalToken(settings(tmp_path))
    local.leave()
    local.remove()
    assert "the command line needs a token, none can be left at" in caplog.text
