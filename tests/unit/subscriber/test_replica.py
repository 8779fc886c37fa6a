"""What one alias' model becomes, event by event."""

import logging
from typing import Any

import pytest

from modelwire.subscriber import LiteLlm, ModelStatus
from modelwire.subscriber.errors import ProtocolError
from modelwire.subscriber.replica import AliasReplica
from modelwire.subscriber.timing import Timing
from modelwire.subscriber.trials import Trial, Trials


class Line:
    """A model, its replica, and what the server would say."""

    def __init__(self) -> None:
        self.model = LiteLlm("general", _status=ModelStatus.INITIALIZING)
        self.said: list[tuple[str, int, str | None]] = []
        self.replica = AliasReplica(
            self.model, lambda verdict: self.said.append((verdict.config_id, verdict.version, verdict.reason))
        )
        self.revision = 0
        self.versions: list[int | None] = []
        self.statuses: list[str] = []
        self.model.on_settings_change(lambda old, new: self.versions.append(new.version if new else None))
        self.model.on_status_change(lambda old, new: self.statuses.append(f"{old}>{new}"))

    def _send(self, typename: str, **fields: Any) -> None:
        self.revision += 1
        event = {"__typename": typename, "revision": f"s-{self.revision}", **fields}
        self.replica.receive({"modelConfigChanged": event})

    def snapshot(self, *configs: dict[str, Any], reset: bool = False) -> None:
        self._send("ModelConfigSnapshot", modelConfigs=list(configs), reset=reset)

    def change(self, *put: dict[str, Any], removed: tuple[str, ...] = ()) -> None:
        self._send("ModelConfigChange", put=list(put), removed=[{"id": id_, "alias": "general"} for id_ in removed])

    def bookmark(self) -> None:
        self._send("Bookmark")

    @property
    def since(self) -> str | None:
        return self.replica.request()["variables"].get("since")

    @property
    def name(self) -> str | None:
        return self.model.settings.model if self.model.settings else None


def config(version: int = 1, model: str = "openai/a", config_id: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "id": config_id,
        "alias": "general",
        "version": version,
        "revision": f"s-{version}",
        "configured": True,
        "maxInputTokens": None,
        "litellmParams": {"model": model},
        **more,
    }


PLACEHOLDER = config(configured=False, litellmParams=None)
REFUSED = {"model": "openai/refused", "api_key": "os.environ/NOBODY_ALLOWED_THIS"}


@pytest.fixture
def line() -> Line:
    return Line()


def test_bootstrap_and_update(line: Line) -> None:
    assert line.since is None
    line.snapshot(config(1))
    line.change(config(2, "openai/b"))
    assert (line.model.version, line.model.revision, line.name, line.since) == (2, "s-2", "openai/b", "s-2")
    assert line.statuses == ["initializing>ready"]
    assert line.versions == [1, 2]


def test_an_alias_that_does_not_exist_yet(line: Line) -> None:
    line.snapshot()
    assert line.model.status is ModelStatus.NONE
    line.change(config(1))
    assert line.statuses == ["initializing>none", "none>ready"]


def test_a_placeholder_is_none_until_it_is_configured_and_after(line: Line) -> None:
    line.snapshot(PLACEHOLDER)
    line.change(config(2))
    line.change({**PLACEHOLDER, "version": 3})
    assert line.statuses == ["initializing>none", "none>ready", "ready>none"]
    assert line.versions == [2, None]


def test_older_and_equal_versions_are_ignored(line: Line) -> None:
    line.snapshot(config(3))
    line.change(config(2, "openai/old"))
    line.change(config(3, "openai/equal"))
    assert (line.name, line.model.version) == ("openai/a", 3)
    line.change(config(4, "openai/new"))
    assert line.versions == [3, 4]


def test_an_old_placeholder_is_ignored_too(line: Line) -> None:
    line.snapshot({**PLACEHOLDER, "version": 5})
    line.change(config(4))
    assert line.model.status is ModelStatus.NONE


def test_delete_and_create_again_under_another_id(line: Line) -> None:
    line.snapshot(config(7))
    line.change(removed=("a",))
    assert line.model.settings is None
    line.change(config(1, "openai/b", config_id="b"))
    assert (line.name, line.model.version) == ("openai/b", 1)
    assert line.statuses == ["initializing>ready", "ready>none", "none>ready"]


def test_replaced_by_another_config_in_one_event_without_a_gap(line: Line) -> None:
    line.snapshot(config(7))
    line.change(config(1, "openai/b", config_id="b"), removed=("a",))
    assert line.statuses == ["initializing>ready"]
    assert line.versions == [7, 1]


def test_the_removal_of_another_config_is_ignored(line: Line) -> None:
    line.snapshot(config(1))
    line.change(removed=("z",))
    assert line.model.status is ModelStatus.READY


def test_a_snapshot_replaces_whatever_it_says(line: Line) -> None:
    line.snapshot(config(9))
    line.snapshot(config(4, "openai/restored"), reset=True)
    assert (line.name, line.model.version) == ("openai/restored", 4)
    line.snapshot(config(4, "openai/other-history"), reset=True)
    assert line.name == "openai/other-history"
    line.change(config(5, "openai/next"))
    assert line.name == "openai/next"
    line.snapshot(reset=True)
    assert line.model.status is ModelStatus.NONE
    line.change(config(2))
    assert line.model.version == 2


def test_a_reset_that_says_the_same_changes_nothing(line: Line) -> None:
    line.snapshot(config(9))
    line.snapshot(config(9), reset=True)
    assert line.versions == [9]


def test_a_bookmark_moves_the_position_only(line: Line) -> None:
    line.snapshot(config(1))
    line.bookmark()
    assert line.since == "s-2"
    assert line.versions == [1]


def test_a_refused_config_never_displaces_the_one_in_use(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    line.snapshot(config(1))
    with caplog.at_level(logging.ERROR, "modelwire.subscriber"):
        line.change(config(2, litellmParams=REFUSED))
    assert (line.model.status, line.model.version) == (ModelStatus.READY, 1)
    assert line.model.refusal is not None
    assert line.model.refusal.reason == "missing_secret"
    (record,) = caplog.records
    assert "missing_secret" in record.getMessage()
    assert "NOBODY_ALLOWED_THIS" in record.getMessage()
    assert "version 1 stays in use" in record.getMessage()
    line.change(config(3))
    assert line.model.refusal is None
    assert line.versions == [1, 3]


def test_a_refused_first_config_leaves_the_model_initializing(line: Line) -> None:
    line.snapshot(config(1, litellmParams=REFUSED))
    assert line.model.status is ModelStatus.INITIALIZING
    assert line.since == "s-1"
    line.change(config(2))
    assert line.model.status is ModelStatus.READY


def test_a_refused_config_does_not_keep_a_deleted_one_alive(line: Line) -> None:
    line.snapshot(config(1))
    line.change(config(1, config_id="b", litellmParams=REFUSED), removed=("a",))
    assert line.model.status is ModelStatus.NONE
    assert line.model.settings is None


@pytest.mark.parametrize("wrong", [{"alias": "other"}, {"version": None}])
def test_a_malformed_event_changes_nothing(line: Line, wrong: dict[str, Any]) -> None:
    line.snapshot(config(1))
    with pytest.raises(ProtocolError):
        line.change({**config(2), **wrong})
    assert (line.model.version, line.since) == (1, "s-1")


def test_the_position_stays_when_applying_fails(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.snapshot(config(1))

    def fail(prepared: object) -> None:
        raise OSError("bug")

    monkeypatch.setattr(line.model, "_use", fail)
    with pytest.raises(OSError, match="bug"):
        line.change(config(2, "openai/b"))
    monkeypatch.undo()
    assert line.since == "s-1"
    line.change(config(2, "openai/b"))
    assert line.name == "openai/b"


def test_each_version_is_spoken_of_once(line: Line) -> None:
    line.snapshot(config(version=1))
    line.change(config(version=1))
    line.change(config(version=2, litellmParams=REFUSED))
    line.bookmark()
    line.change(config(version=3, configured=False, litellmParams=None))
    line.change(removed=("a",))
    line.change(config(version=1, config_id="b"))
    assert line.said == [("a", 1, None), ("a", 2, "missing_secret"), ("a", 3, None), ("b", 1, None)]


async def test_in_a_fork_a_trial_begins_anew() -> None:
    timing = Timing()
    line = Line()
    line.replica = AliasReplica(line.model, lambda verdict: None, None, first := Trial(Trials(timing)))
    line.bookmark()
    assert line.since == "s-1"
    line.change(config(1))
    assert (first.pending, line.since, line.model.settings) == (True, None, None)
    second = Trial(Trials(timing))
    line.replica.after_fork(second)
    assert line.since is None
    line.snapshot(config(1))
    assert second.pending
    first.abandon()
    line.change(removed=("a",))
    assert (second.pending, line.since, line.model.status) == (False, "s-4", ModelStatus.NONE)
