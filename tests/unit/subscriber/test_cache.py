"""The file of last known good configurations: what is in it, who can read it, and what becomes of bad ones."""

import json
import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwire.subscriber import ConfigurationError, DynamicModelProvider, LiteLlm, ModelStatus
from modelwire.subscriber.acknowledgements import Verdict
from modelwire.subscriber.cache import Cache, CacheFile, CacheUnreadable, Entry, make_cache
from modelwire.subscriber.events import Config
from modelwire.subscriber.replica import AliasReplica

KEY = "0123456789abcdef0123456789abcdef"
ADDRESS = "ws://127.0.0.1:8400/graphql"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(alias: str = "general", version: int = 3, **params: Any) -> Entry:
    given = {"model": "openai/m", "api_key": "canary-secret", "stop": ["a", {"b": None}], **params}
    config = Config(id="a", alias=alias, version=version, revision="s-9", max_input_tokens=100, litellm_params=given)
    return Entry(config, AT)


def file(tmp_path: Path, *, secret: str = KEY, address: str = ADDRESS) -> CacheFile:
    return CacheFile(tmp_path / "cache", secret=secret, address=address)


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = {"general": entry(), "planning": entry("planning", 7)}
    file(tmp_path).write(written)
    assert file(tmp_path).read() == written
    assert left_behind(tmp_path) == {"cache"}


def test_only_its_owner_may_open_it_and_it_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"")
    path.chmod(0o666)
    file(tmp_path).write({"general": entry()})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_bytes()
    assert not any(word in first for word in (b"canary", b"openai", b"general", KEY.encode()))
    file(tmp_path).write({"general": entry()})
    assert path.read_bytes()[17:45] != first[17:45], "salt and nonce are new each time"


def test_no_file_is_no_entries(tmp_path: Path) -> None:
    assert file(tmp_path).read() == {}


@pytest.mark.parametrize("other", [{"secret": KEY[::-1]}, {"address": "ws://127.0.0.1:8401/graphql"}])
def test_another_key_or_server_reads_nothing(tmp_path: Path, other: dict[str, str]) -> None:
    file(tmp_path).write({"general": entry()})
    with pytest.raises(CacheUnreadable, match="another key or token, or for another server"):
        file(tmp_path, **other).read()


def test_no_damage_goes_unnoticed(tmp_path: Path) -> None:
    """Each bit counts, and each length."""
    file(tmp_path).write({"general": entry()})
    path = tmp_path / "cache"
    whole = path.read_bytes()
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        with pytest.raises(CacheUnreadable):
            file(tmp_path).read()
        path.write_bytes(whole[:index])
        with pytest.raises(CacheUnreadable):
            file(tmp_path).read()
    path.write_bytes(whole + b"\0")
    with pytest.raises(CacheUnreadable):
        file(tmp_path).read()


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    file(tmp_path).write({})
    path = tmp_path / "cache"
    path.write_bytes(path.read_bytes()[:16] + b"\2" + path.read_bytes()[17:])
    with pytest.raises(CacheUnreadable, match="format 2 of another version"):
        file(tmp_path).read()


@pytest.mark.parametrize(
    "document",
    [
        {},
        [1],
        [{}],
        [{"heardAt": AT.isoformat(), "config": None}],
        [{"heardAt": AT.isoformat(), "config": {"id": "a"}}],
        [{"heardAt": "2026-01-02T03:04:05", "config": {}}],
    ],
)
def test_a_sealed_file_of_something_else(tmp_path: Path, document: Any) -> None:
    sealed = file(tmp_path)._seal(json.dumps(document).encode())
    (tmp_path / "cache").write_bytes(sealed)
    with pytest.raises(CacheUnreadable, match="what this version writes"):
        file(tmp_path).read()


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    with pytest.raises(CacheUnreadable):
        file(tmp_path).read()
    with pytest.raises(OSError, match="directory"):
        file(tmp_path).write({})
    assert left_behind(tmp_path) == {"cache"}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(tmp_path).write({"general": entry()})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file(tmp_path).write({"general": entry(version=4)})
    assert file(tmp_path).read() == {"general": entry()}
    assert left_behind(tmp_path) == {"cache"}


def test_writers_at_once_write_whole_files(tmp_path: Path) -> None:
    written = [{"general": entry(version=version, seed="x" * version * 500)} for version in range(1, 9)]

    def write(entries: dict[str, Entry]) -> bool:
        file(tmp_path).write(entries)
        return file(tmp_path).read() in written

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(write, written * 5))
    assert left_behind(tmp_path) == {"cache"}


class TestArguments:
    @pytest.fixture(autouse=True)
    def _no_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MODELWIRE_CACHE", raising=False)
        monkeypatch.delenv("MODELWIRE_CACHE_KEY", raising=False)

    def test_no_path_is_no_cache(self) -> None:
        assert make_cache(None, "short", token="t", address=ADDRESS) is None

    def test_variables_stand_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MODELWIRE_CACHE", f" {tmp_path / 'cache'}\n")
        monkeypatch.setenv("MODELWIRE_CACHE_KEY", f"{KEY}\n")
        cache = make_cache(None, None, token=lambda: "t", address=ADDRESS)
        assert cache
        cache._file.write({"general": entry()})
        assert file(tmp_path).read()

    def test_a_token_that_changes_needs_a_key(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"cache_key=….*MODELWIRE_CACHE_KEY"):
            DynamicModelProvider(ADDRESS, token=lambda: KEY, component="c", cache=tmp_path / "cache")

    @pytest.mark.parametrize("given", [{"token": "canary"}, {"token": KEY, "cache_key": "canary"}])
    def test_what_can_be_guessed_is_refused_and_not_shown(self, tmp_path: Path, given: Any) -> None:
        with pytest.raises(ConfigurationError, match="at least 32 characters") as caught:
            DynamicModelProvider(ADDRESS, component="c", cache=tmp_path / "cache", **given)
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize("path", ["", 7])
    def test_a_path_that_is_none(self, path: Any) -> None:
        with pytest.raises(ConfigurationError, match="cache is the path"):
            make_cache(path, KEY, token="t", address=ADDRESS)

    def test_the_token_seals_it(self, tmp_path: Path) -> None:
        cache = make_cache(str(tmp_path / "cache"), None, token=KEY, address=ADDRESS)
        assert cache
        cache._file.write({})
        assert file(tmp_path).read() == {}
        assert KEY not in repr(vars(cache))


class Line:
    """A model with its replica on a cache, and what the server would say."""

    def __init__(self, folder: Path, read: dict[str, Entry] | None = None) -> None:
        self.cache = Cache(file(folder))
        self.cache._read = read or {}
        self.model = LiteLlm("general", _status=ModelStatus.INITIALIZING)
        self.said: list[Verdict] = []
        self.replica = AliasReplica(self.model, self.said.append, self.cache)

    def snapshot(self, *configs: dict[str, Any]) -> None:
        self._send("ModelConfigSnapshot", modelConfigs=list(configs), reset=False)

    def _send(self, kind: str, **fields: Any) -> None:
        self.replica.receive({"modelConfigChanged": {"__typename": kind, "revision": "s-1", **fields}})

    def bookmark(self) -> None:
        self._send("Bookmark")

    def restore(self) -> bool:
        return self.replica.restore(entry().config, AT)

    def saved(self) -> dict[str, int]:
        self.cache._save()
        return {alias: saved.config.version for alias, saved in self.cache._file.read().items()}


def config(version: int = 1, **params: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "alias": "general",
        "version": version,
        "revision": "s-1",
        "configured": True,
        "maxInputTokens": None,
        "litellmParams": {"model": "openai/m", **params},
    }


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


def test_a_model_says_that_it_runs_from_the_cache(line: Line) -> None:
    assert line.restore()
    assert (line.model.status, line.model.version, line.model.cached_at) == (ModelStatus.READY, 3, AT)
    assert line.replica.request()["variables"] == {"by": [{"alias": "general"}]}, "the server is asked for all"
    assert not line.said


def test_the_same_from_the_server_changes_nothing_but_where_it_comes_from(line: Line) -> None:
    line.restore()
    in_use = line.model.settings
    cached = entry().config
    same = {**config(3), "revision": "s-9", "maxInputTokens": 100, "litellmParams": cached.litellm_params}
    line.snapshot(same)
    assert line.model.settings is in_use
    assert line.model.cached_at is None


@pytest.mark.parametrize("version", [1, 3, 9])
def test_what_the_server_says_displaces_it_a_lower_version_too(line: Line, version: int) -> None:
    line.restore()
    line.snapshot(config(version))
    assert (line.model.version, line.model.cached_at) == (version, None)


def test_an_alias_that_is_gone_is_gone(line: Line) -> None:
    line.restore()
    line.snapshot()
    assert (line.model.status, line.model.settings, line.model.cached_at) == (ModelStatus.NONE, None, None)


def test_nothing_is_restored_over_what_the_server_said(line: Line) -> None:
    line.snapshot(config(1))
    assert not line.restore()
    assert line.model.version == 1


def test_nothing_is_restored_over_an_empty_answer(line: Line) -> None:
    line.snapshot()
    assert not line.restore()
    assert line.model.status is ModelStatus.NONE


def test_nothing_is_restored_where_access_is_denied(line: Line) -> None:
    line.replica.denied()
    assert not line.restore()
    assert line.model.status is ModelStatus.INITIALIZING


def test_what_cannot_be_used_here_is_not_restored(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    refused = entry(api_key="os.environ/NOBODY_ALLOWED_THIS").config
    assert not line.replica.restore(refused, AT)
    assert line.model.status is ModelStatus.INITIALIZING
    assert "in the cache cannot be used: missing_secret" in caplog.text


def test_what_is_in_use_is_kept_and_what_was_removed_is_not(tmp_path: Path) -> None:
    line = Line(tmp_path, {"general": entry(), "planning": entry("planning", 7)})
    line.snapshot(config(4))
    assert line.saved() == {"general": 4, "planning": 7}, "planning was not asked for yet in this process"
    line.snapshot(config(5, api_key="os.environ/NOBODY_ALLOWED_THIS"))
    assert line.saved() == {"general": 4, "planning": 7}, "the last good one"
    line.snapshot({**config(6), "configured": False, "litellmParams": None})
    assert line.saved() == {"planning": 7}
    line.snapshot(config(7))
    line.snapshot()
    assert line.saved() == {"planning": 7}


def test_a_deleted_config_is_not_kept_for_the_next_start_by_one_that_is_refused(tmp_path: Path) -> None:
    file(tmp_path).write({"general": entry(), "planning": entry("planning", 7)})
    line = Line(tmp_path)
    line.cache._read = None
    successor = {**config(1, api_key="os.environ/NOBODY_ALLOWED_THIS"), "id": "b"}
    line.snapshot(successor)
    assert line.saved() == {"planning": 7}
    line.snapshot({**config(2), "id": "b"})
    line.snapshot({**successor, "version": 3})
    assert line.saved() == {"general": 2, "planning": 7}, "the last good one of the same config"


def test_references_are_kept_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-of-this-process")
    line = Line(tmp_path)
    line.snapshot(config(1, api_key="os.environ/OPENAI_API_KEY"))
    assert line.model.litellm_params()["api_key"] == "canary-of-this-process"
    line.cache._save()
    params = line.cache._file.read()["general"].config.litellm_params
    assert params == {"model": "openai/m", "api_key": "os.environ/OPENAI_API_KEY"}


def test_a_quiet_server_keeps_it_young(line: Line) -> None:
    line.snapshot(config(1))
    line.saved()
    before = line.cache._file.read()["general"].heard_at
    line.bookmark()
    assert line.cache._unwritten
    assert not line.cache._urgent, "a bookmark is not worth a write of its own"
    line.saved()
    assert line.cache._file.read()["general"].heard_at > before


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = Line(tmp_path / "missing")
    with caplog.at_level(logging.WARNING):
        for version in range(1, 4):
            line.snapshot(config(version))
            line.cache._save()
    assert [record.getMessage() for record in caplog.records] == [
        f"the cache {tmp_path / 'missing' / 'cache'} cannot be written: No such file or directory"
    ]
    assert line.model.version == 3
    (tmp_path / "missing").mkdir()
    assert line.saved() == {"general": 3}
