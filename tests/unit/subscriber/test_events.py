from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from modelwire.subscriber import events
from modelwire.subscriber.errors import ProtocolError

CONFIG: dict[str, Any] = {
    "id": "a",
    "alias": "general",
    "version": 3,
    "revision": "s-7",
    "configured": True,
    "maxInputTokens": 8000,
    "litellmParams": {"model": "openai/x", "api_key": "canary-secret"},
}


def event(typename: str, **fields: Any) -> dict[str, Any]:
    return {"modelConfigChanged": {"__typename": typename, "revision": "s-9", **fields}}


def test_request_names_one_alias_and_the_position() -> None:
    assert events.request("general", None)["variables"] == {"by": [{"alias": "general"}]}
    assert events.request("general", "s-4")["variables"] == {"by": [{"alias": "general"}], "since": "s-4"}


def test_the_document_is_valid_for_the_exported_schema() -> None:
    exported = Path(__file__).parents[3] / "schema.graphql"
    schema = build_schema(exported.read_text(encoding="utf-8"))
    assert validate(schema, parse(events.DOCUMENT)) == []


def test_snapshot() -> None:
    parsed = events.parse(event("ModelConfigSnapshot", reset=True, modelConfigs=[CONFIG]))
    assert isinstance(parsed, events.Snapshot)
    assert (parsed.revision, parsed.reset) == ("s-9", True)
    (config,) = parsed.configs
    assert (config.id, config.alias, config.version, config.revision) == ("a", "general", 3, "s-7")
    assert config.max_input_tokens == 8000
    assert config.litellm_params == CONFIG["litellmParams"]


def test_a_placeholder_has_no_params() -> None:
    placeholder = {**CONFIG, "configured": False, "litellmParams": None, "maxInputTokens": None}
    parsed = events.parse(event("ModelConfigChange", put=[placeholder], removed=[{"id": "b", "alias": "general"}]))
    assert isinstance(parsed, events.Change)
    assert parsed.put[0].litellm_params is None
    assert parsed.put[0].max_input_tokens is None
    assert parsed.removed == {"b"}


def test_bookmark() -> None:
    assert events.parse(event("Bookmark")) == events.Bookmark("s-9")


def test_repr_hides_the_credentials() -> None:
    assert "canary-secret" not in repr(events.parse(event("ModelConfigSnapshot", reset=False, modelConfigs=[CONFIG])))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"modelConfigChanged": None},
        {"modelConfigChanged": {"__typename": "Bookmark"}},
        event("Bookmark", revision=9),
        event("Other"),
        event("ModelConfigSnapshot", modelConfigs=[]),
        event("ModelConfigSnapshot", reset="false", modelConfigs=[]),
        event("ModelConfigSnapshot", reset=False, modelConfigs=None),
        event("ModelConfigSnapshot", reset=False, modelConfigs=[None]),
        event("ModelConfigChange", put=[]),
        event("ModelConfigChange", put=[], removed=["b"]),
        event("ModelConfigChange", put=[], removed=[{"alias": "b"}]),
        *(
            event("ModelConfigChange", removed=[], put=[{**CONFIG, **wrong}])
            for wrong in (
                {"id": None},
                {"alias": 1},
                {"version": "3"},
                {"version": True},
                {"version": 3.0},
                {"revision": None},
                {"configured": None},
                {"maxInputTokens": "8000"},
                {"litellmParams": None},
                {"litellmParams": []},
            )
        ),
    ],
)
def test_malformed_events(data: Any) -> None:
    with pytest.raises(ProtocolError):
        events.parse(data)
